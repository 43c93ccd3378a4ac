"""Who may speak to the control plane? Real Envoys with right, foreign, expired and no certificates; and a rotation."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from tests.harness.facts import wait_for
from tests.workloads.cluster import HOST, NAME, Cluster, now, route
from tests.workloads.conftest import gateway

from northgate.kube.pki import Pair, client_leaf, settled
from northgate.kube.secrets import client_secret
from northgate.snapshot.resource import CLUSTER
from northgate.xds.credentials import Identity, ServerIdentity
from northgate.xds.server import SERVICE

GROUP = "/".join(NAME)
DAY = dt.timedelta(days=1)


@pytest.fixture
async def cluster(envoy_binary, echo_upstreams) -> AsyncIterator[Cluster]:
    async with Cluster(echo_upstreams.ports()) as one:
        one.serve(*route("echo-a"))
        yield one


async def connected(cluster: Cluster) -> list[str]:
    return [report.proxy for report in cluster.plane.proxies(NAME) if report.connected]


async def refused(cluster: Cluster, leaf: Pair | None, group: str = GROUP, trusted: bytes | None = None) -> str:
    """What a client meets that asks for the clusters of a group."""
    pair = (leaf.key, leaf.certificate) if leaf else (None, None)
    credentials = grpc.ssl_channel_credentials(trusted or cluster.authorities.trusted, *pair)
    method = f"/{SERVICE}/StreamAggregatedResources"
    async with grpc.aio.secure_channel(f"{HOST}:{cluster.port}", credentials) as channel:
        request = DiscoveryRequest(type_url=CLUSTER)
        request.node.id, request.node.cluster = "client-1", group
        call = channel.stream_stream(method)(iter([request.SerializeToString()]), timeout=5)
        try:
            async for answer in call:
                assert answer
                return ""
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "ended"


async def test_only_a_certificate_of_the_gateway_opens_it(cluster):
    foreign = settled(None, now())
    assert await refused(cluster, cluster.leaf()) == ""
    assert await refused(cluster, None) == "UNAVAILABLE"
    assert await refused(cluster, client_leaf(None, foreign, GROUP, now())) == "UNAVAILABLE"
    assert await refused(cluster, cluster.leaf(at=now() - 60 * DAY)) == "UNAVAILABLE"
    assert await refused(cluster, cluster.leaf("edge/other")) == "PERMISSION_DENIED"
    assert await refused(cluster, cluster.leaf(), "edge/other") == "PERMISSION_DENIED"
    assert await refused(cluster, cluster.leaf(), "") == "PERMISSION_DENIED"
    assert await connected(cluster) == []


async def test_no_words_in_plain_text(cluster):
    reader, writer = await asyncio.open_connection(HOST, cluster.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"SETTINGS" not in await asyncio.wait_for(reader.read(), 15)
    writer.close()


@pytest.mark.parametrize("kind", ["other gateway", "foreign", "expired"])
async def test_an_envoy_with_a_wrong_certificate_gets_nothing_until_it_has_the_right_one(cluster, kind):
    leaf = {
        "other gateway": lambda: cluster.leaf("edge/other"),
        "foreign": lambda: client_leaf(None, settled(None, now()), GROUP, now()),
        "expired": lambda: cluster.leaf(at=now() - 60 * DAY),
    }[kind]()
    async with cluster.pod("edge-1", leaf) as pod:
        await pod.until("startup", True)

        async def failed() -> bool:
            stats = await pod.admin.stats("control_plane|xds_cluster.upstream_(cx_total|rq_total)")
            return (
                stats["cluster.xds_cluster.upstream_cx_total"] >= 2
                or stats["cluster.xds_cluster.upstream_rq_total"] >= 2
            )

        await wait_for(failed, "Envoy tried twice", 20)
        assert not await pod.probe("readiness")
        assert await pod.probe("liveness")
        assert await connected(cluster) == []
        if kind == "other gateway":
            # That connection is good, and lasts: each stream on it is refused.
            return
        pod.mount(client_secret(cluster.gateway, cluster.leaf(), cluster.authorities))
        await pod.until("readiness", True)


async def test_certificates_and_authorities_change_without_refusing_a_stream(cluster):
    async with cluster.pod("edge-1") as pod:
        await pod.until("readiness", True)
        failures = "cluster.xds_cluster.(ssl.fail|upstream_cx_connect_fail)|xds_cluster.*(sds|ssl).*(reject|fail)"
        before = await pod.admin.stats(failures)
        for _ in range(4):
            # By turns an authority is announced, and takes over: it has been known for long enough.
            if cluster.authorities.following is None:
                announced = settled(None, now() - 2 * DAY).signer
                cluster.authorities = replace(cluster.authorities, following=announced)
            else:
                cluster.authorities = settled(cluster.authorities, now())
            cluster.identity.replace(cluster.server_identity())
            updates = "cluster.xds_cluster.client_ssl_socket_factory.ssl_context_update_by_sds"
            loaded = (await pod.admin.stats(updates))[updates]
            pod.mount(client_secret(cluster.gateway, cluster.leaf(), cluster.authorities))

            async def renewed(loaded=loaded, updates=updates) -> bool:
                return (await pod.admin.stats(updates))[updates] > loaded

            await wait_for(renewed, "Envoy read its certificates anew", 20)
            await cluster.plane.server.stop(0)
            # A new server at the same place: the next stream is opened with what both sides hold now.
            await restart(cluster)

            async def back() -> bool:
                return await connected(cluster) == ["edge-1"]

            await wait_for(back, "Envoy is back", 20)
            assert await pod.probe("readiness")
        after = await pod.admin.stats(failures)
        assert after["cluster.xds_cluster.ssl.fail_verify_error"] == before["cluster.xds_cluster.ssl.fail_verify_error"]
        assert after["cluster.xds_cluster.ssl.fail_verify_san"] == before["cluster.xds_cluster.ssl.fail_verify_san"]


async def restart(cluster: Cluster) -> None:
    await cluster.start_control()
    cluster.serve(*route("echo-a"))


def test_a_server_without_a_whole_identity_does_not_start():
    for parts in ((b"", b"k", b"t"), (b"c", b"", b"t"), (b"c", b"k", b"")):
        with pytest.raises(ValueError, match="are needed"):
            ServerIdentity(Identity(*parts))
    assert gateway().name == "edge"


async def test_a_running_server_shows_its_new_certificate_to_new_connections(cluster, tmp_path):
    async with cluster.pod("edge-1") as pod:
        await pod.until("readiness", True)
        leaf, old = cluster.leaf(), cluster.authorities
        first = await shown(cluster, leaf, tmp_path)
        foreign = settled(None, now() - 2 * DAY)
        cluster.authorities = replace(old, following=foreign.signer)
        cluster.identity.replace(cluster.server_identity())
        assert await refused(cluster, client_leaf(None, foreign, GROUP, now()), trusted=old.trusted) == ""
        cluster.authorities = settled(cluster.authorities, now())
        cluster.identity.replace(cluster.server_identity())
        assert await shown(cluster, leaf, tmp_path) != first
        assert await refused(cluster, leaf) == "", "what the former authority signed is believed still"
        assert await refused(cluster, leaf, trusted=old.trusted) == "UNAVAILABLE", (
            "who knows only that one is not fooled"
        )
        with pytest.raises(ValueError, match="are needed"):
            cluster.identity.replace(Identity(b"", b"", b""))
        assert await refused(cluster, leaf) == ""
        assert await connected(cluster) == ["edge-1"]


async def shown(cluster: Cluster, leaf: Pair, folder: Path) -> int:
    """The serial number of the server's certificate."""
    (folder / "pair.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.create_default_context(cadata=cluster.authorities.trusted.decode())
    context.load_cert_chain(folder / "pair.pem")
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(HOST, cluster.port, ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(certificate).serial_number
