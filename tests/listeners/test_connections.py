from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.core.objects import put
from tests.harness.certificates import TlsPairs
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import (
    first_line,
    gateway,
    get,
    handshake,
    https,
    listener,
    route,
    route_conditions,
    running,
    secret,
    target,
    to,
    trusting_all,
)

from northgate.ops.exchange import ClientTls, Outcome
from northgate.ops.scenery import NAMESPACE
from northgate.world.key import ObjectKey

pytestmark = pytest.mark.envoy
TCP = listener("tcp", 9000, "TCP")


@pytest.fixture
def authority(tls_pairs: TlsPairs, tmp_path: Path) -> Path:
    return tls_pairs.write_ca(tmp_path)


def passthrough(name: str, hostname: str | None, port: int = 443) -> dict[str, Any]:
    host = {} if hostname is None else {"hostname": hostname}
    return listener(name, port, "TLS", tls={"mode": "Passthrough"}, **host)


def terminated(name: str, hostname: str, *secrets: str) -> dict[str, Any]:
    refs = [{"name": one} for one in secrets]
    return listener(name, 443, "TLS", hostname=hostname, tls={"certificateRefs": refs})


async def _lines(edge: RunningEdge, times: int) -> Counter[str]:
    return Counter([await first_line(target(edge, 9000)) for _ in range(times)])


async def test_weights_share_connections() -> None:
    objects = [gateway(TCP), route("db", "tcp", rule=to("tcp-a=80", "tcp-b=20", port=9000))]
    async with running(objects, [9000]) as edge:
        lines = await _lines(edge, 200)
        assert lines["tcp-a"] + lines["tcp-b"] == 200
        assert 20 <= lines["tcp-b"] <= 64


async def test_the_share_of_a_lost_backend_is_closed_not_moved() -> None:
    objects = [gateway(TCP), route("db", "tcp", rule=to("tcp-a=80", "missing=20", port=9000))]
    async with running(objects, [9000]) as edge:
        lines = await _lines(edge, 200)
        assert set(lines) == {"tcp-a", "closed"}
        assert 20 <= lines["closed"] <= 64
        assert route_conditions(edge, "db")["ResolvedRefs"][:2] == ("False", "BackendNotFound")


async def test_a_lost_backend_closes_connections_until_it_is_back() -> None:
    service = ObjectKey("", "Service", NAMESPACE, "tcp-a")
    objects = [gateway(TCP), route("db", "tcp", rule=to("tcp-a", port=9000))]
    async with running(objects, [9000]) as edge:
        assert await first_line(target(edge, 9000)) == "tcp-a"
        kept = dict(edge.plane.edge.world.services.items())[NAMESPACE, "tcp-a"]
        await edge.apply([], [service])
        assert await first_line(target(edge, 9000)) == "closed"
        ports = [{"name": port.name, "port": port.port} for port in kept.spec.ports]
        document = {"metadata": {"name": "tcp-a", "namespace": NAMESPACE}, "spec": {"ports": ports}}
        await edge.apply([(service, document)])
        assert await first_line(target(edge, 9000)) == "tcp-a"


async def test_a_dead_endpoint_is_passed_over() -> None:
    async with running([gateway(TCP)], [9000]) as edge:
        here = [{"address": "127.0.0.1", "port": edge.upstreams.port(name)} for name in ("tcp-a", "tcp-b")]
        rule = {"backendRefs": [{"kind": "Upstream", "name": "pool"}]}
        await edge.apply([put("Upstream", "pool", {"static": here}, NAMESPACE), route("db", "tcp", rule=rule)])
        await edge.upstreams.stop("tcp-a")
        assert await _lines(edge, 20) == {"tcp-b": 20}


async def test_passthrough_by_server_name(tls_pairs: TlsPairs, authority: Path) -> None:
    objects = [
        gateway(passthrough("pass", "*.example.test"), https("web", "web.example.test", "web")),
        secret("web", tls_pairs.issue("web.example.test")),
        route("pass", "pass", "tls.example.test", rule=to("tls-a", port=443)),
        route("web", "web"),
    ]
    async with running(objects) as edge:
        trust = ClientTls("tls.example.test", edge.place().ca)
        reply = await get(target(edge, 443, trust), "tls.example.test")
        assert (reply.status, reply.header("x-echo-upstream")) == (200, ("tls-a",))
        seen = edge.upstreams["tls-a"].recent[-1]
        assert seen.tls is not None
        assert seen.tls.sni == "tls.example.test"
        assert (
            await get(target(edge, 443, ClientTls("web.example.test", authority)), "web.example.test")
        ).status == 200
        assert await handshake(edge, 443, "other.example.test", trusting_all()) is None


async def test_an_unrouted_passthrough_name_is_not_served_by_its_neighbour(tls_pairs: TlsPairs) -> None:
    objects = [
        gateway(passthrough("pass", "tls.example.test"), https("web", "*.example.test", "web")),
        secret("web", tls_pairs.issue("*.example.test")),
        route("web", "web"),
    ]
    async with running(objects) as edge:
        assert await handshake(edge, 443, "web.example.test", trusting_all()) is not None
        assert await handshake(edge, 443, "tls.example.test", trusting_all()) is None


async def test_terminated_connections(tls_pairs: TlsPairs, authority: Path) -> None:
    pair = tls_pairs.issue("a.db.test", "b.db.test")
    objects = [
        gateway(terminated("db", "*.db.test", "db")),
        secret("db", pair),
        route("a", "db", "a.db.test", rule=to("tcp-a", port=9000)),
        route("b", "db", "b.db.test", rule=to("tcp-b", port=9000)),
    ]
    async with running(objects) as edge:
        for name in "ab":
            where = target(edge, 443, ClientTls(f"{name}.db.test", authority))
            assert await first_line(where) == f"tcp-{name}"
        assert (await first_line(target(edge, 443, ClientTls("c.db.test", authority)))) == Outcome.HANDSHAKE


async def test_the_more_specific_of_two_listeners_has_the_name(tls_pairs: TlsPairs) -> None:
    objects = [
        gateway(passthrough("wide", "*.example.test"), passthrough("narrow", "tls.example.test")),
        route("wide", "wide", "tls.example.test", "other.example.test", rule=to("tls-a", port=443)),
        route("narrow", "narrow", rule=to("tls-a", port=443)),
    ]
    async with running(objects) as edge:
        assert await handshake(edge, 443, "other.example.test", trusting_all()) is not None
        status, reason, message = route_conditions(edge, "wide")["PartiallyInvalid"]
        assert (status, reason) == ("True", "UnsupportedValue")
        assert "spec.hostnames: tls.example.test belongs to listener narrow" in message


@pytest.mark.parametrize(
    ("listener_name", "hostnames", "rule", "message"),
    [
        ("tcp", ["a.test"], {}, "spec.hostnames: a TCP connection carries no hostname; remove it"),
        ("tcp", [], {"matches": [{"path": {"value": "/a"}}]}, "spec.rules[0].matches: needs requests"),
        ("tls", [], {"timeouts": {"request": "1s"}}, "spec.rules[0].timeouts: needs requests"),
        ("tls", [], {"rewrite": {"hostname": "b.test"}}, "spec.rules[0].rewrite: needs requests"),
    ],
)
async def test_what_needs_requests_is_refused(
    listener_name: str, hostnames: list[str], rule: dict[str, Any], message: str
) -> None:
    objects = [
        gateway(listener("http", 80), TCP, passthrough("tls", None)),
        route("bad", listener_name, *hostnames, rule=to("tcp-a", port=9000, **rule)),
        route("web", None),
    ]
    async with running(objects, [80, 443, 9000]) as edge:
        status, reason, told = route_conditions(edge, "bad")["Accepted"]
        assert (status, reason) == ("False", "UnsupportedValue")
        assert told.startswith(message)
        assert told.endswith(f"(listener {listener_name})")
        assert await first_line(target(edge, 9000)) == Outcome.REFUSED
        assert (await get(target(edge, 80), "a.test")).status == 200
