"""What a real Envoy makes of it, in both dialects."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from tests.xds import edge, worlds
from tests.xds.edge import Edge, backend, envoy

from northgate.deliver.ledger import State
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from northgate.xds.server import XdsServer

pytestmark = pytest.mark.envoy
GROUP = "pop/edge"
DIALECTS = pytest.mark.parametrize("api_type", ["GRPC", "DELTA_GRPC"], ids=["state", "delta"])


def world(port: int, name: str = "a", **cluster: object) -> worlds.World:
    return worlds.world(
        edge.eds_cluster(name, **cluster),
        edge.endpoints(name, port),
        edge.http_route("main", name),
        edge.http_listener("main", "main"),
    )


async def ready(proxy: Edge) -> str:
    await proxy.until(proxy.live)
    address: str = await proxy.until(lambda: proxy.listener("main"))
    return address


async def synced(server: XdsServer, revision: int) -> None:
    async with asyncio.timeout(edge.DEADLINE):
        while not all(one.synced_revision >= revision for one in server.ledger.proxies(GROUP, 0.0)):  # noqa: ASYNC110 - another process or task makes it true
            await asyncio.sleep(0.01)


@DIALECTS
async def test_item_29_40_a_missing_assignment_does_not_hold_a_cold_start(
    server: XdsServer, tmp_path: Path, api_type: str
) -> None:
    server.publish(GROUP, worlds.change({}, worlds.world(edge.eds_cluster("orphan"))))
    async with envoy(tmp_path, server.address, api_type, "n1") as proxy:
        await proxy.until(proxy.live)
        stats = await proxy.stats()
        assert stats["cluster.orphan.init_fetch_timeout"] == 0
        assert stats["cluster_manager.cds.update_success"] >= 1


@DIALECTS
async def test_item_53_a_changed_cluster_does_not_stay_warming(
    server: XdsServer, tmp_path: Path, api_type: str
) -> None:
    async with backend("one") as port, envoy(tmp_path, server.address, api_type, "n1") as proxy:
        old = world(port)
        server.publish(GROUP, worlds.change({}, old))
        await ready(proxy)
        new = world(port, connect_timeout="2s")
        await synced(server, server.publish(GROUP, worlds.change(old, new)))
        stats = await proxy.stats()
        assert stats["cluster_manager.cluster_modified"] == 1
        assert stats["cluster_manager.warming_clusters"] == 0
        assert stats["cluster.a.init_fetch_timeout"] == 0


async def load(address: str, results: Counter[int], stop: asyncio.Event) -> None:
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            async with session.get(f"http://{address}/") as response:
                results[response.status] += 1


@DIALECTS
async def test_item_51_52_backends_are_switched_without_a_failed_request(
    server: XdsServer, tmp_path: Path, api_type: str
) -> None:
    async with backend("a") as first, backend("b") as second, envoy(tmp_path, server.address, api_type, "n1") as proxy:
        now = world(first)
        server.publish(GROUP, worlds.change({}, now))
        address = await ready(proxy)
        await synced(server, 1)
        results: Counter[int] = Counter()
        stop = asyncio.Event()
        clients = [asyncio.create_task(load(address, results, stop)) for _ in range(8)]
        for turn in range(20):
            after = world((first, second)[turn % 2], f"c{turn}")
            revision = server.publish(GROUP, worlds.change(now, after))
            now = after
            await synced(server, revision)
        stop.set()
        await asyncio.gather(*clients)
        assert results[200] > 100
        assert set(results) == {200}

        async def only_the_last() -> bool:
            clusters = {name for name in await proxy.held() if name.startswith("dynamic_active_clusters")}
            return clusters == {"dynamic_active_clusters c19"}

        await proxy.until(only_the_last)


async def test_both_dialects_hold_the_same(server: XdsServer, tmp_path: Path) -> None:
    async with (
        backend("one") as port,
        envoy(tmp_path, server.address, "GRPC", "state") as one,
        envoy(tmp_path, server.address, "DELTA_GRPC", "delta") as other,
    ):
        old = world(port)
        server.publish(GROUP, worlds.change({}, old))
        await ready(one)
        await ready(other)
        new = world(port, "b")
        await synced(server, server.publish(GROUP, worlds.change(old, new)))

        async def equal() -> bool:
            return await one.held() == await other.held() and len(await one.held()) == 4

        await one.until(equal)
        for report in server.ledger.proxies(GROUP, 0.0):
            states = {report.types[type_url].state for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}
            assert states == {State.SYNCED}


@DIALECTS
async def test_item_19_47_a_refused_listener_harms_only_itself(
    server: XdsServer, tmp_path: Path, api_type: str
) -> None:
    async with backend("one") as port, envoy(tmp_path, server.address, api_type, "n1") as proxy:
        good = world(port)
        bad = edge.http_listener("broken", "main", address="not an address")
        both = worlds.world(*(one for part in good.values() for one in part.values()), bad)
        server.publish(GROUP, worlds.change({}, both))
        address = await ready(proxy)
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/") as response:
            assert response.status == 200

        async def told() -> bool:
            return server.ledger.proxies(GROUP, 0.0)[0].last_rejection is not None

        await proxy.until(told)
        report = server.ledger.proxies(GROUP, 0.0)[0]
        assert report.last_rejection is not None
        assert report.last_rejection.resources == ("broken",)
        assert "malformed IP address" in report.last_rejection.message
        assert report.types[LISTENER].state is State.REJECTED
        rejected = (await proxy.stats())["listener_manager.lds.update_rejected"]
        await synced(server, 0)
        assert rejected == 1
