from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import GATEWAY, conditions, gateway, get, https, route, running, secret, target, to

from northgate.ops.exchange import ClientTls, Outcome, Target
from northgate.ops.requests import Client
from northgate.snapshot.resource import SECRET
from northgate.world.key import ObjectKey

pytestmark = pytest.mark.envoy
HOST = "a.example.test"
OTHER = "b.example.test"
_UPDATES = r"^listener_manager.listener_(added|modified|removed|in_place_updated)$|update_success$|config_reload$"


@pytest.fixture
def authority(tls_pairs: TlsPairs, tmp_path: Path) -> Path:
    return tls_pairs.write_ca(tmp_path)


def _at(edge: RunningEdge, authority: Path, host: str = HOST) -> Target:
    return target(edge, 443, ClientTls(host, authority))


async def _updates(edge: RunningEdge) -> Counter[str]:
    return await edge.envoy.stats(_UPDATES)


async def test_a_new_certificate_disturbs_nobody(tls_pairs: TlsPairs, authority: Path) -> None:
    old, new = tls_pairs.issue(HOST), tls_pairs.issue(HOST)
    objects = [gateway(https("a", HOST, "a")), secret("a", old), route("a", "a")]
    async with running(objects) as edge, Client() as client:
        where = _at(edge, authority)
        assert (await get(where, HOST, client=client)).serial == old.serial
        before = await _updates(edge)
        await edge.apply([secret("a", new)])

        again = await get(where, HOST, client=client)
        assert (again.status, again.reused, again.serial) == (200, True, old.serial)
        assert (await get(where, HOST)).serial == new.serial
        moved = {name: count for name, count in (await _updates(edge) - before).items() if count}
        assert moved == {"sds.listener/edge/a.update_success": 1}


async def test_no_handshake_fails_while_certificates_rotate(tls_pairs: TlsPairs, authority: Path) -> None:
    pairs = [tls_pairs.issue(HOST) for _ in range(4)]
    objects = [gateway(https("a", HOST, "a")), secret("a", pairs[0]), route("a", "a")]
    async with running(objects) as edge, asyncio.TaskGroup() as group:
        seen: Counter[str] = Counter()

        async def connect() -> None:
            while True:
                reply = await get(_at(edge, authority), HOST)
                assert reply.status == 200, reply
                seen[reply.serial] += 1

        async def met(serial: str) -> int:
            return seen[serial]

        before = await edge.envoy.stats(r"^listener_manager.listener_\w+$")
        clients = [group.create_task(connect()) for _ in range(2)]
        for number in range(1, 61):
            pair = pairs[number % 4]
            seen.clear()
            await edge.apply([secret("a", pair)])
            await edge.envoy.wait_for(partial(met, pair.serial), "a client meets the new certificate")
        for client in clients:
            client.cancel()
        assert await edge.envoy.stats(r"^listener_manager.listener_\w+$") == before
        assert (await edge.envoy.stats("sds.listener/edge/a.update_success")).total() == 61


@pytest.mark.parametrize("name", ["mismatched", "truncated", "encrypted", "rsa_1024", "garbage"])
async def test_after_a_broken_rotation_the_old_certificate_serves(
    tls_pairs: TlsPairs, authority: Path, name: str
) -> None:
    old = tls_pairs.issue(HOST)
    objects = [gateway(https("a", HOST, "a")), secret("a", old), route("a", "a")]
    async with running(objects) as edge:
        before = await _updates(edge)
        await edge.apply([secret("a", tls_pairs.bad[name])])

        assert await _updates(edge) == before
        assert (await get(_at(edge, authority), HOST)).serial == old.serial
        # A proxy that starts now gets the old pair too.
        assert old.certificate.encode() in edge.plane.edge.resources(GATEWAY)[SECRET]["listener/edge/a"].body
        status, reason, message = conditions(edge, "a")["ResolvedRefs"]
        assert (status, reason) == ("False", "InvalidCertificateRef")
        assert message.startswith("Secret edge/a: data.tls.")
        assert message.endswith("; the previous certificate is still served")

        good = tls_pairs.issue(HOST)
        await edge.apply([secret("a", good)])
        assert (await get(_at(edge, authority), HOST)).serial == good.serial
        assert conditions(edge, "a")["ResolvedRefs"][0] == "True"


async def test_a_listener_that_never_had_a_certificate_stands_alone_in_its_fault(
    tls_pairs: TlsPairs, authority: Path
) -> None:
    good = tls_pairs.issue("*.example.test")
    objects = [
        gateway(https("bad", HOST, "bad"), https("good", "*.example.test", "good")),
        secret("bad", tls_pairs.mismatched),
        secret("good", good),
        route("a", "bad"),
        route("b", "good", rule=to("echo-b")),
    ]
    async with running(objects) as edge:
        assert (await get(_at(edge, authority, OTHER), OTHER)).status == 200
        # Neither its neighbour's certificate nor its neighbour's routes answer for it.
        assert (await get(_at(edge, authority), HOST)).outcome is Outcome.HANDSHAKE
        assert (await get(_at(edge, authority, OTHER), HOST)).status == 421
        assert conditions(edge, "bad")["ResolvedRefs"] == (
            "False",
            "InvalidCertificateRef",
            "Secret edge/bad: data.tls.key: does not belong to the first certificate in tls.crt",
        )
        assert conditions(edge, "good")["ResolvedRefs"][0] == "True"

        mended = tls_pairs.issue(HOST)
        await edge.apply([secret("bad", mended)])
        reply = await get(_at(edge, authority), HOST)
        assert (reply.status, reply.serial, reply.header("x-echo-upstream")) == (200, mended.serial, ("echo-a",))
        assert (await get(_at(edge, authority, OTHER), OTHER)).header("x-echo-upstream") == ("echo-b",)


async def test_a_certificate_that_comes_later(tls_pairs: TlsPairs, authority: Path) -> None:
    objects = [gateway(https("a", HOST, "a")), route("a", "a")]
    async with running(objects) as edge:
        assert (await get(_at(edge, authority), HOST)).outcome is Outcome.REFUSED
        assert "does not exist" in conditions(edge, "a")["ResolvedRefs"][2]
        await edge.apply([secret("a", tls_pairs.issue(HOST))])
        assert (await get(_at(edge, authority), HOST)).status == 200


async def test_of_several_certificates_the_good_ones_serve(tls_pairs: TlsPairs, authority: Path) -> None:
    good = tls_pairs.issue(HOST)
    objects = [gateway(https("a", HOST, "gone", "good")), secret("good", good), route("a", "a")]
    async with running(objects) as edge:
        assert (await get(_at(edge, authority), HOST)).serial == good.serial
        assert conditions(edge, "a")["ResolvedRefs"][:2] == ("False", "InvalidCertificateRef")


async def test_a_deleted_certificate_is_not_served_any_more(tls_pairs: TlsPairs, authority: Path) -> None:
    objects = [
        gateway(https("a", HOST, "a"), https("b", OTHER, "b")),
        secret("a", tls_pairs.issue(HOST)),
        secret("b", tls_pairs.issue(OTHER)),
        route("a", None),
    ]
    async with running(objects) as edge:
        assert (await get(_at(edge, authority), HOST)).status == 200
        await edge.apply([], [ObjectKey("", "Secret", "edge", "a")])
        assert (await get(_at(edge, authority), HOST)).outcome is Outcome.HANDSHAKE
        assert (await get(_at(edge, authority, OTHER), OTHER)).status == 200
