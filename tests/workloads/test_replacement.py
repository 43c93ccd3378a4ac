"""Does a request fail when pods are replaced? Real Envoys behind a balancer that knows only what probes say."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from tests.harness.load import Kind, Load
from tests.workloads.balancer import Balancer
from tests.workloads.cluster import Cluster, route
from tests.workloads.node import Pod

from northgate.ops.exchange import ClientTls, Target

pytestmark = [pytest.mark.envoy, pytest.mark.slow]

HOST = "shop.example.test"
PROXY = {
    "probes": {"readiness": {"periodSeconds": 1, "failureThreshold": 2}},
    "shutdown": {"drainTimeout": "8s", "minDrainDuration": "4s"},
}
REPLACEMENTS = 3
RATE = 150.0


async def started(
    stack: AsyncExitStack, upstreams: dict[str, int], number: int, first: Cluster | None
) -> tuple[Cluster, Pod]:
    """A pod on ports of its own: its control plane is a replica that was told of them."""
    cluster = Cluster(upstreams, proxy=PROXY)
    cluster.pair = first.pair if first is not None else cluster.pair
    await stack.enter_async_context(cluster)
    cluster.serve(*route("echo-a"))
    return cluster, await stack.enter_async_context(cluster.pod(f"edge-{number}"))


async def test_no_request_fails_when_pods_are_replaced(envoy_binary, echo_upstreams, tmp_path):
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer((80, 443)))
        first, old = await started(stack, echo_upstreams.ports(), 0, None)
        await balancer.add(old, first.listeners)
        async with Load(kinds(balancer, first, tmp_path), rate=RATE, seconds=20.0) as load:
            await load.more(100)
            for number in range(1, REPLACEMENTS + 1):
                cluster, new = await started(stack, echo_upstreams.ports(), number, first)
                await balancer.add(new, cluster.listeners)
                old.terminate()
                assert await old.ended() == 0
                balancer.forget(old)
                old = new
            await load.more(100)
    load.assert_clean(at_least=1000)
    assert {entry.kind for entry in load.ledger} == {"kept", "new", "long", "https", "h2"}
    assert any(entry.reused for entry in load.ledger if entry.kind == "kept")


def kinds(balancer: Balancer, cluster: Cluster, folder) -> tuple[Kind, ...]:
    (folder / "ca.pem").write_text(cluster.pair.authority)
    tls = ClientTls(HOST, folder / "ca.pem")
    plain, secure = balancer.addresses[80], balancer.addresses[443]
    return (
        Kind("kept", Target(plain), HOST, share=4),
        Kind("new", Target(plain), HOST, keep=False, share=2),
        Kind("long", Target(plain), HOST, path="/?delay=3s", share=1),
        Kind("https", Target(secure, tls), HOST, share=2),
        Kind("h2", Target(secure, tls, http=2), HOST, share=2),
    )
