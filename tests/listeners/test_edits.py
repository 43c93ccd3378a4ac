from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import first_line, gateway, get, https, listener, route, running, secret, target, to

from northgate.ops.exchange import ClientTls, Outcome, Target
from northgate.ops.requests import Client

pytestmark = pytest.mark.envoy
A, B = "a.example.test", "b.example.test"
WEB, SECURE_A, SECURE_B = listener("http", 80), https("a", A, "all"), https("b", B, "all")
_CHANGES = r"^listener_manager.listener_(added|modified|removed|in_place_updated)$"
_DRAINED = r"downstream_cx_drain_close$|downstream_cx_destroy_local$"


@pytest.fixture
def authority(tls_pairs: TlsPairs, tmp_path: Path) -> Path:
    return tls_pairs.write_ca(tmp_path)


@asynccontextmanager
async def _edge(tls_pairs: TlsPairs, *listeners: dict[str, Any]) -> AsyncIterator[RunningEdge]:
    objects = [gateway(*listeners), secret("all", tls_pairs.issue(A, B, "c.example.test")), route("r", None)]
    async with running(objects, [80, 81, 443, 9000]) as edge:
        yield edge


class _Kept:
    """Connections that are kept open through an edit; each answers again on the same connection afterwards."""

    def __init__(self, edge: RunningEdge, client: Client, *places: tuple[Target, str]) -> None:
        self._edge = edge
        self._client = client
        self._places = places

    async def open(self) -> None:
        for where, host in self._places:
            assert (await get(where, host, client=self._client)).status == 200

    async def edited(self, *listeners: dict[str, Any], **spec: Any) -> dict[str, int]:
        """Edit the gateway; what Envoy's listener manager did."""
        before = await self._edge.envoy.stats(_CHANGES)
        await self._edge.apply([gateway(*listeners, **spec)])
        for where, host in self._places:
            reply = await get(where, host, client=self._client)
            assert (reply.status, reply.reused) == (200, True), host
        assert not +(await self._edge.envoy.stats(_DRAINED))
        return _done(await self._edge.envoy.stats(_CHANGES), before)


def _done(after: Counter[str], before: Counter[str]) -> dict[str, int]:
    return {name.removeprefix("listener_manager.listener_"): n for name, n in (after - before).items() if n}


def _at(edge: RunningEdge, authority: Path, host: str) -> tuple[Target, str]:
    return target(edge, 443, ClientTls(host, authority), 2), host


async def test_a_listener_on_a_new_port(tls_pairs: TlsPairs, authority: Path) -> None:
    async with _edge(tls_pairs, WEB, SECURE_A) as edge, Client() as client:
        kept = _Kept(edge, client, (target(edge, 80), A), _at(edge, authority, A))
        await kept.open()
        assert await kept.edited(WEB, SECURE_A, listener("more", 81)) == {"added": 1}
        assert (await get(target(edge, 81), A)).status == 200
        assert await kept.edited(WEB, SECURE_A) == {"removed": 1}
        assert (await get(target(edge, 81), A)).outcome is Outcome.REFUSED


async def test_a_listener_beside_others_on_its_port(tls_pairs: TlsPairs, authority: Path) -> None:
    async with _edge(tls_pairs, WEB, SECURE_A) as edge, Client() as client:
        kept = _Kept(edge, client, (target(edge, 80), A), _at(edge, authority, A))
        await kept.open()
        # The port's listener is updated in place: only filter chains that changed are drained.
        assert await kept.edited(WEB, SECURE_A, SECURE_B) == {"modified": 1, "in_place_updated": 1}
        assert (await get(*_at(edge, authority, B))).status == 200
        assert (await get(_at(edge, authority, A)[0], B)).status == 421
        assert await kept.edited(WEB, SECURE_A) == {"modified": 1, "in_place_updated": 1}
        assert (await get(*_at(edge, authority, B))).outcome is Outcome.HANDSHAKE


async def test_a_listener_with_another_hostname(tls_pairs: TlsPairs, authority: Path) -> None:
    async with _edge(tls_pairs, WEB, SECURE_A, SECURE_B) as edge, Client() as client:
        kept = _Kept(edge, client, (target(edge, 80), A), _at(edge, authority, A))
        await kept.open()
        renamed = https("b", "c.example.test", "all")
        assert await kept.edited(WEB, SECURE_A, renamed) == {"modified": 1, "in_place_updated": 1}
        assert (await get(*_at(edge, authority, "c.example.test"))).status == 200
        assert (await get(*_at(edge, authority, B))).outcome is Outcome.HANDSHAKE


async def test_edits_that_concern_no_listener(tls_pairs: TlsPairs, authority: Path) -> None:
    async with _edge(tls_pairs, WEB, SECURE_A, SECURE_B) as edge, Client() as client:
        kept = _Kept(edge, client, (target(edge, 80), A), _at(edge, authority, A), _at(edge, authority, B))
        await kept.open()
        assert await kept.edited(SECURE_B, SECURE_A, WEB) == {}
        closed = {
            **SECURE_B,
            "allowedRoutes": {"namespaces": {"from": "All"}, "hostnames": [_delegation("*.shop.test")]},
        }
        assert await kept.edited(WEB, SECURE_A, closed) == {}
        assert await kept.edited(WEB, SECURE_A, SECURE_B, defaults={"timeouts": {"request": "9s"}}) == {}


def _delegation(hostname: str) -> dict[str, Any]:
    return {"namespaces": ["shop"], "hostnames": [hostname]}


async def test_weights_of_connections_touch_their_own_port_only(tls_pairs: TlsPairs, authority: Path) -> None:
    async with _edge(tls_pairs, WEB, SECURE_A, listener("tcp", 9000, "TCP")) as edge, Client() as client:
        await edge.apply([route("db", "tcp", rule=to("tcp-a", "tcp-b=0", port=9000))])
        kept = _Kept(edge, client, (target(edge, 80), A), _at(edge, authority, A))
        await kept.open()
        assert await first_line(target(edge, 9000)) == "tcp-a"
        before = await edge.envoy.stats(_CHANGES)
        await edge.apply([route("db", "tcp", rule=to("tcp-a=0", "tcp-b", port=9000))])
        assert await first_line(target(edge, 9000)) == "tcp-b"
        assert _done(await edge.envoy.stats(_CHANGES), before) == {"modified": 1, "in_place_updated": 1}
        assert await kept.edited(WEB, SECURE_A, listener("tcp", 9000, "TCP")) == {}
