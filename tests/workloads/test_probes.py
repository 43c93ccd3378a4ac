"""Do a pod's probes tell the truth? A real Envoy, run and asked as the pod's template says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.harness.facts import wait_for
from tests.workloads.cluster import HOST, Cluster, route
from tests.workloads.node import Pod

from northgate.files.admin import AdminError
from northgate.ops.exchange import Outcome, Request, Target
from northgate.ops.requests import Client
from northgate.ops.scenery import secret
from northgate.snapshot.resource import ROUTE, SECRET
from northgate.translate.ports import STATS_PORT
from northgate.world.key import ObjectKey

pytestmark = pytest.mark.envoy


@pytest.fixture
async def cluster(envoy_binary, echo_upstreams) -> AsyncIterator[Cluster]:
    async with Cluster(
        echo_upstreams.ports(), proxy={"shutdown": {"drainTimeout": "3s", "minDrainDuration": "1s"}}
    ) as one:
        yield one


@asynccontextmanager
async def running(cluster: Cluster, name: str = "edge-1") -> AsyncIterator[Pod]:
    async with cluster.pod(name) as pod:
        await pod.until("startup", True)
        yield pod


async def status(target: Target, path: str = "/", method: str = "GET") -> int:
    async with Client(3) as client:
        reply = await client.send(target, Request(method, path, "shop.example.test"), keep=False)
    return reply.status if reply.outcome is Outcome.ANSWERED else 0


def http(cluster: Cluster) -> Target:
    return Target((HOST, cluster.listeners[80]))


async def test_a_proxy_that_waits_for_its_configuration_lives_and_is_not_ready(cluster):
    async with running(cluster) as pod:
        for _ in range(3):
            assert await pod.probe("liveness")
            assert not await pod.probe("readiness")
        cluster.serve(*route("echo-a"))
        await pod.until("readiness", True)
        assert await status(http(cluster)) == 200


async def test_readiness_outlives_the_control_plane_and_its_return(cluster):
    cluster.serve(*route("echo-a"))
    async with running(cluster) as pod:
        await pod.until("readiness", True)
        await cluster.plane.stop(0)

        async def alone() -> bool:
            return (await pod.admin.stats("control_plane.connected_state"))["control_plane.connected_state"] == 0

        await wait_for(alone, "Envoy lost its control plane", 20)
        for kind in ("readiness", "liveness", "startup"):
            assert await pod.probe(kind)
        assert await status(http(cluster)) == 200

        await cluster.start_control()
        cluster.serve(*route("echo-a"))
        await asyncio.wait_for(cluster.plane.synced(("edge", "edge")), 20)
        assert await pod.probe("readiness")


async def test_a_proxy_that_cannot_bind_a_port_is_not_ready(cluster):
    with socket.socket() as taken:
        cluster.held.release(cluster.listeners[443])
        taken.bind(("0.0.0.0", cluster.listeners[443]))  # noqa: S104 - as the listener would
        taken.listen()
        cluster.serve(*route("echo-a"))
        async with running(cluster) as pod:

            async def told() -> bool:
                return "refused" in (await pod.ask("readiness"))[1]

            await wait_for(told, "the probe says why", 20)
            assert await pod.admin.ready()
            assert await status(http(cluster)) == 200
            assert not await pod.probe("readiness")
            assert await pod.probe("liveness")
            taken.close()
            document = cluster.document()
            document["metadata"]["generation"] = 2
            document["spec"]["listeners"][1]["hostname"] = "*.example.test"
            cluster.plane.take([(ObjectKey("northgate.dev", "EdgeGateway", "edge", "edge"), document)])
            await pod.until("readiness", True)


@pytest.mark.parametrize("withheld", [SECRET, ROUTE], ids=["secret", "routes"])
async def test_a_proxy_without_its_certificate_or_routes_is_not_ready(cluster, monkeypatch, withheld):
    publish = cluster.plane.server.publish

    def without_secrets(group, delta):
        types = {name: part for name, part in delta.types.items() if name != withheld}
        return publish(group, type(delta)(types))

    monkeypatch.setattr(cluster.plane.server, "publish", without_secrets)
    cluster.serve(*route("echo-a"))
    async with running(cluster) as pod:

        async def asked() -> bool:
            return any(report.types.get(withheld) for report in cluster.plane.proxies(("edge", "edge")))

        await wait_for(asked, "Envoy asked for it", 20)
        for _ in range(5):
            assert not await pod.probe("readiness")
            assert await pod.probe("liveness")


async def test_a_proxy_that_was_ready_stays_so_whatever_it_refuses_later(cluster):
    cluster.serve(*route("echo-a"))
    async with running(cluster) as pod:
        await pod.until("readiness", True)
        await pod.admin.post("/healthcheck/fail")
        assert not await pod.probe("readiness")
        await pod.admin.post("/healthcheck/ok")
        assert await pod.probe("readiness")
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))  # noqa: S104 - as the listener would
            taken.listen()
            document = cluster.document()
            document["metadata"]["generation"] = 2
            document["spec"]["listeners"].append({"name": "more", "port": taken.getsockname()[1], "protocol": "HTTP"})
            cluster.plane.take([(ObjectKey("northgate.dev", "EdgeGateway", "edge", "edge"), document)])

            async def refused() -> bool:
                found = await pod.admin.stats("listener_manager")
                return found["listener_manager.lds.update_rejected"] > 0

            await wait_for(refused, "Envoy refused the new listener", 20)
            assert await pod.probe("readiness")


async def test_a_proxy_that_hangs_is_not_live_and_one_that_crashes_comes_back(cluster):
    cluster.serve(*route("echo-a"))
    async with running(cluster) as pod:
        await pod.until("readiness", True)
        envoy = json.loads(await pod.admin.get("/server_info"))
        pid = await envoy_pid(pod)
        os.kill(pid, signal.SIGSTOP)
        assert not await pod.probe("liveness")
        assert not await pod.probe("readiness")
        os.kill(pid, signal.SIGCONT)
        await pod.until("readiness", True)
        os.kill(pid, signal.SIGKILL)
        await pod.until("readiness", False)
        await pod.until("readiness", True)
        assert await envoy_pid(pod) != pid
        assert envoy["node"]["id"] == "edge-1"


async def envoy_pid(pod: Pod) -> int:
    """The one child of the container's process."""
    assert pod._process is not None
    parent = pod._process.pid
    children = await asyncio.to_thread(Path(f"/proc/{parent}/task/{parent}/children").read_text)
    [pid] = map(int, children.split())
    return pid


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/quitquitquit", "/stats", "/config_dump", "/stats/prometheus/")),
        *(("GET", path) for path in ("/stats/prometheus/../../quitquitquit", "/../quitquitquit", "//quitquitquit")),
        *(("GET", path) for path in ("/stats//prometheus", "/stats/prometheus;/../config_dump", "/%2e%2e/config_dump")),
        *(("GET", path) for path in ("/stats/prometheus%2f..%2f..%2fconfig_dump", "/stats/prometheus%00", "/STATS")),
        *((method, "/stats/prometheus") for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")),
    ],
)
async def test_nothing_but_the_statistics_is_reachable(statistics, method, path):
    assert await status(statistics, path, method) in (307, 400, 404)


async def test_statistics_are_read_at_one_path(statistics):
    async with Client(3) as client:
        for query in ("", "?usedonly"):
            reply = await client.send(statistics, Request("GET", f"/stats/prometheus{query}", "x"), keep=False)
            assert reply.status == 200
            assert b"envoy_server_live" in reply.body


@pytest.fixture
async def statistics(cluster) -> AsyncIterator[Target]:
    cluster.serve(*route("echo-a"))
    async with running(cluster) as pod:
        await pod.until("readiness", True)
        yield Target((HOST, pod.ports[STATS_PORT]))
        assert await pod.probe("liveness")
        with pytest.raises(AdminError, match="405"):
            await pod.admin.get("/quitquitquit")


async def test_draining_fails_readiness_at_once_and_the_pod_ends_by_itself(cluster):
    cluster.serve(*route("echo-a"), secret("edge", "unused", cluster.pair))
    async with running(cluster) as pod:
        await pod.until("readiness", True)
        pod.terminate()
        await pod.until("readiness", False)
        assert await pod.probe("liveness")
        assert await status(http(cluster)) == 200, "it accepts while balancers learn that it leaves"
        assert await pod.ended() == 0
