"""Does bad input harm anybody else? All of it before a real Envoy that serves the examples to clients meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from tests.bad_input.cases import CORPUS, Case
from tests.bad_input.generated import certificates, limits
from tests.bad_input.scenes import bad_objects, forged_endpoints, good_objects, good_traffic
from tests.harness.edge import RunningEdge
from tests.harness.load import Load

from northgate.api.parse import parse
from northgate.world.key import ObjectKey

pytestmark = pytest.mark.envoy

RATE = 40.0


def ready(edge: RunningEdge) -> Mapping[ObjectKey, str]:
    """Whether each object is Ready, as its status says."""
    return {
        key: next(c["status"] for c in status["conditions"] if c["type"] == "Ready")
        for key, status in edge.plane.statuses().items()
    }


async def apply(edge: RunningEdge, case: Case, good: frozenset[ObjectKey]) -> None:
    """Apply a case as its author would; it must be confirmed, which a refusal would prevent."""
    put = [one for one in bad_objects(case) if one[0] not in good]
    edge.plane.take(put)
    try:
        await asyncio.wait_for(edge.plane.synced(edge.gateway), 10)
    except TimeoutError:
        refused = [report.last_rejection for report in edge.plane.proxies(edge.gateway)]
        raise AssertionError(f"{case.name} reached the proxy, which refused it: {refused}") from None
    assert edge.plane.edge.engine.failures == {}, case.name


@pytest.mark.slow
async def test_no_bad_input_disturbs_requests_or_statuses_of_others():
    async with RunningEdge() as edge:
        objects = list(good_objects(edge))
        good = frozenset(key for key, _ in objects)
        await edge.serve(objects)
        before = ready(edge)
        assert before[ObjectKey("northgate.dev", "Route", "bad", "good")] == "True"
        async with Load(good_traffic(edge), rate=RATE) as load:
            await load.more(40)
            for case in (*CORPUS, *limits()):
                await apply(edge, case, good)
            await load.more(80)
            after = ready(edge)
        load.assert_clean(at_least=120)
        rejected = await edge.envoy.stats("update_rejected")
        assert {name: count for name, count in rejected.items() if count} == {}
        assert {key: after[key] for key in before} == before


@pytest.mark.slow
async def test_what_was_good_goes_on_serving_when_its_new_version_is_bad():
    """Every bad rule in turn is the new version of one Route that serves."""
    key = ObjectKey("northgate.dev", "Route", "bad", "good")
    async with RunningEdge() as edge:
        await edge.serve(good_objects(edge))
        async with Load(good_traffic(edge), rate=RATE) as load:
            for case in (*CORPUS, *limits()):
                for found, document in bad_objects(case):
                    if found.kind == "Route" and _is_error(case):
                        renamed = {**document, "metadata": {"name": key.name, "namespace": key.namespace}}
                        await edge.apply([(key, renamed)])
                        await load.more(1)
            await load.more(20)
        load.assert_clean(at_least=100)
        (condition,) = [
            condition
            for parent in edge.status("Route", "good", "bad")["parents"]
            for condition in parent["conditions"]
            if condition["type"] == "PartiallyInvalid"
        ]
        assert condition["message"].startswith("Fall Back to generation 1")
        rejected = await edge.envoy.stats("update_rejected")
        assert {name: count for name, count in rejected.items() if count} == {}


def _is_error(case: Case) -> bool:
    return bool(case.told) and all(": error: Route" in line for line in case.told)


def of_gateways(cases: tuple[Case, ...]) -> list[Case]:
    """The cases with a gateway of their own that can be read, so that there is something to serve."""
    return [
        case
        for case in cases
        for key, document in bad_objects(case)
        if key.kind == "EdgeGateway" and parse(key.group, key.kind, document).spec is not None
    ]


@pytest.mark.parametrize("case", of_gateways(CORPUS), ids=lambda case: case.name)
async def test_a_bad_gateway_is_never_refused_by_its_own_proxy(case: Case):
    await serve_alone(case)


@pytest.mark.parametrize("number", range(5))
async def test_a_gateway_with_a_bad_certificate_is_never_refused_by_its_own_proxy(number, tls_pairs):
    await serve_alone(tuple(certificates(tls_pairs))[number])


async def serve_alone(case: Case) -> None:
    """Give a case's gateway an Envoy of its own, beside the backends its Routes may name."""
    async with RunningEdge(("bad", case.name), (80, 81, 443, 9000)) as edge:
        base = [one for one in good_objects(edge) if one[0].namespace == "bad"]
        await edge.serve([*base, forged_endpoints(edge.upstreams.port("echo-a")), *bad_objects(case)])
        rejected = await edge.envoy.stats("update_rejected")
        assert {name: count for name, count in rejected.items() if count} == {}
        assert edge.plane.edge.engine.failures == {}
