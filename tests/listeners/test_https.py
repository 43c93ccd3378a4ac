from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.listeners.scenes import (
    conditions,
    gateway,
    get,
    handshake,
    https,
    listener,
    route,
    running,
    secret,
    target,
    to,
    trusting_all,
)

from northgate.ops.exchange import ClientTls, Outcome, end

pytestmark = pytest.mark.envoy
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def authority(tls_pairs: TlsPairs, tmp_path: Path) -> Path:
    return tls_pairs.write_ca(tmp_path)


async def test_the_most_specific_hostname_chooses_certificate_and_routes(tls_pairs: TlsPairs, authority: Path) -> None:
    pairs = {"exact": "a.example.test", "wild": "*.example.test", "rest": "other.test"}
    issued = {name: tls_pairs.issue(host) for name, host in pairs.items()}
    objects = [
        gateway(
            https("exact", "a.example.test", "exact"),
            https("wild", "*.example.test", "wild"),
            https("rest", None, "rest"),
        ),
        *(secret(name, pair) for name, pair in issued.items()),
        route("a", "exact"),
        route("b", "wild", rule=to("echo-b")),
        route("c", "rest", rule=to("echo-c")),
    ]
    async with running(objects) as edge:
        for host, name, upstream in (
            ("a.example.test", "exact", "echo-a"),
            ("b.example.test", "wild", "echo-b"),
            ("other.test", "rest", "echo-c"),
        ):
            for http in (1, 2):
                reply = await get(target(edge, 443, ClientTls(host, authority), http), host)
                assert (reply.status, reply.header("x-echo-upstream")) == (200, (upstream,))
                assert reply.serial == issued[name].serial
        deep = await handshake(edge, 443, "x.y.example.test", trusting_all())
        assert deep is not None
        assert deep.serial == issued["wild"].serial.lstrip("0")
        assert conditions(edge, "exact")["OverlappingTLSConfig"][1] == "OverlappingHostnames"


@pytest.mark.parametrize("http", [1, 2])
async def test_a_host_of_another_listener_is_misdirected(tls_pairs: TlsPairs, authority: Path, http: int) -> None:
    objects = [
        gateway(
            https("a", "a.example.test", "all"), https("b", "b.example.test", "all"), https("c", "*.c.test", "all")
        ),
        secret("all", tls_pairs.issue("a.example.test", "b.example.test", "x.c.test")),
        route("a", "a"),
        route("b", "b"),
        route("c", "c", "x.c.test"),
    ]
    async with running(objects) as edge:
        at_a = target(edge, 443, ClientTls("a.example.test", authority), http)
        at_c = target(edge, 443, ClientTls("x.c.test", authority), http)
        for where, host, status in (
            (at_a, "a.example.test", 200),
            (at_a, "b.example.test", 421),
            (at_a, "y.c.test", 421),
            (at_a, "unknown.test", 404),
            (at_c, "x.c.test", 200),
            (at_c, "y.c.test", 404),
            (at_c, "a.example.test", 421),
        ):
            assert (await get(where, host)).status == status, host


async def test_a_listener_for_every_hostname_owns_the_unknown_ones(tls_pairs: TlsPairs, authority: Path) -> None:
    objects = [
        gateway(https("a", "a.example.test", "all"), https("rest", None, "all")),
        secret("all", tls_pairs.issue("a.example.test", "b.example.test")),
        route("rest", "rest"),
    ]
    async with running(objects) as edge:
        at_a = target(edge, 443, ClientTls("a.example.test", authority))
        at_b = target(edge, 443, ClientTls("b.example.test", authority))
        assert (await get(at_a, "b.example.test")).status == 421
        assert (await get(at_a, "a.example.test")).status == 404
        assert (await get(at_b, "b.example.test")).status == 200
        assert (await get(at_b, "a.example.test")).status == 421


async def test_an_unknown_or_absent_server_name_is_closed(tls_pairs: TlsPairs, authority: Path) -> None:
    objects = [
        gateway(https("a", "a.example.test", "a")),
        secret("a", tls_pairs.issue("a.example.test")),
        route("a", "a"),
    ]
    async with running(objects) as edge:
        unknown = target(edge, 443, ClientTls("b.example.test", authority))
        assert (await get(unknown, "a.example.test")).outcome is Outcome.HANDSHAKE
        assert await handshake(edge, 443, None, trusting_all()) is None
        plain = await get(target(edge, 443), "a.example.test")
        assert plain.outcome in (Outcome.CLOSED, Outcome.RESET)
        assert (await edge.envoy.stats("no_filter_chain_match$")).total() == 3


async def test_spellings_of_one_host(tls_pairs: TlsPairs) -> None:
    objects = [
        gateway(listener("http", 80), https("a", "a.example.test", "a")),
        secret("a", tls_pairs.issue("a.example.test")),
        route("a", None, "a.example.test"),
    ]
    async with running(objects) as edge:
        for host in ("A.Example.TEST", "a.example.test:8443", "a.example.test.", "a.example.test.:80"):
            assert (await get(target(edge, 80), host)).status == 200, host
        assert await handshake(edge, 443, "A.EXAMPLE.test", trusting_all()) is not None


async def test_one_listener_with_a_certificate_of_each_kind(tls_pairs: TlsPairs) -> None:
    rsa, ecdsa = (tls_pairs.issue("a.example.test", key=kind) for kind in ("rsa", "ecdsa"))
    objects = [
        gateway(https("a", "a.example.test", "rsa", "ecdsa")),
        secret("rsa", rsa),
        secret("ecdsa", ecdsa),
        route("a", "a"),
    ]
    async with running(objects) as edge:
        for ciphers, pair in (("aRSA", rsa), ("aECDSA", ecdsa)):
            found = await handshake(edge, 443, "a.example.test", trusting_all(ciphers=ciphers, maximum_version=TLS_1_2))
            assert found is not None
            assert found.serial == pair.serial.lstrip("0")


@pytest.mark.parametrize(
    ("versions", "client", "agreed"),
    [
        ({}, {"maximum_version": TLS_1_2}, "TLSv1.2"),
        ({}, {}, "TLSv1.3"),
        ({"minVersion": "1.3"}, {"maximum_version": TLS_1_2}, None),
        ({"maxVersion": "1.2"}, {}, "TLSv1.2"),
        ({"maxVersion": "1.2"}, {"minimum_version": TLS_1_3}, None),
    ],
)
async def test_versions(
    tls_pairs: TlsPairs, versions: dict[str, str], client: dict[str, ssl.TLSVersion], agreed: str | None
) -> None:
    objects = [
        gateway(https("a", "a.example.test", "a", **versions)),
        secret("a", tls_pairs.issue("a.example.test")),
        route("a", "a"),
    ]
    async with running(objects) as edge:
        found = await handshake(edge, 443, "a.example.test", trusting_all(**client))
        assert (found.version if found else None) == agreed
        assert found is None or found.alpn == "h2"


async def test_http2_by_prior_knowledge_in_clear() -> None:
    async with running([gateway(listener("http", 80)), route("a", "http")]) as edge:
        reply = await get(target(edge, 80, http=2), "a.example.test")
        assert reply.status == 200
        assert (await edge.envoy.stats("downstream_rq_http2_total$")).total() == 1


async def test_a_client_that_says_nothing_is_not_waited_for(tls_pairs: TlsPairs) -> None:
    objects = [gateway(https("a", "a.example.test", "a")), secret("a", tls_pairs.issue("a.example.test"))]
    async with running(objects) as edge:
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.ports[443])
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert 4.5 <= time.monotonic() - begun <= 8
        await end(writer)
