"""`fault`: aborts, delays and slow answers, each for its share, each with a key to change it at run time."""

from __future__ import annotations

import pytest
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.type.v3.percent_pb2 import FractionalPercent
from tests.features.translation import FORWARD, per_route, refused, routes, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.api.filters import FAULT
from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client


def fault(**blocks):
    return per_route(rule(fault=blocks), FAULT.name, HTTPFault())


def parts(percentage):
    assert percentage.denominator == FractionalPercent.MILLION
    return percentage.numerator


def test_everything_at_once():
    found = fault(
        abort={"status": 503, "percent": "0.25"},
        delay={"duration": "1s500ms", "percent": "10"},
        throttle={"perSecond": "32Ki", "percent": "1"},
    )
    assert (found.abort.http_status, parts(found.abort.percentage)) == (503, 2500)
    assert (found.delay.fixed_delay.ToMilliseconds(), parts(found.delay.percentage)) == (1500, 100_000)
    limit = found.response_rate_limit
    assert (limit.fixed_limit.limit_kbps, parts(limit.percentage)) == (32, 10_000)


def test_what_is_absent_is_not_there():
    found = fault(abort={"status": 500})
    assert (found.HasField("delay"), found.HasField("response_rate_limit")) == (False, False)


def test_without_a_share_all_requests_are_struck():
    assert parts(fault(delay={"duration": "1ms"}).delay.percentage) == 1_000_000


def test_a_share_of_nothing_stands_by():
    found = fault(abort={"status": 503, "percent": "0"})
    assert (found.HasField("abort"), parts(found.abort.percentage)) == (True, 0)


def test_each_share_has_a_key_with_the_rules_name():
    [route] = routes(FORWARD | {"name": "api", "fault": {"abort": {"status": 503}}})
    found = per_route(route, FAULT.name, HTTPFault())
    assert route.name == "default/site/api"
    assert found.abort_percent_runtime == "chaos.default/site/api.abort"
    assert found.delay_percent_runtime == "chaos.default/site/api.delay"
    assert found.response_rate_limit_percent_runtime == "chaos.default/site/api.throttle"


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({}, "set at least one of: abort, delay, throttle"),
        ({"abort": {"status": 99}}, "fault.abort.status"),
        ({"delay": {"duration": "0s"}}, "fault.delay.duration: 0s is not from 1ms to 60s"),
        ({"delay": {"duration": "1m1ms"}}, "fault.delay.duration: 1m1ms is not from 1ms to 60s"),
        ({"throttle": {"perSecond": "0"}}, "fault.throttle.perSecond: 0 is not a whole number of KiB"),
        ({"throttle": {"perSecond": "1500"}}, "fault.throttle.perSecond: 1500 is not a whole number of KiB"),
        ({"throttle": {"perSecond": "2Gi"}}, "fault.throttle.perSecond: 2Gi is not a whole number of KiB"),
    ],
)
def test_mistakes_are_named(blocks, said):
    assert said in refused(**FORWARD, fault=blocks)


@pytest.mark.parametrize("action", [{"reset": {}}, {"drop": {"after": "1s"}}])
def test_what_fails_anyway_takes_no_faults(action):
    assert "fault needs something to fail" in refused(**action, fault={"abort": {"status": 503}})


@pytest.mark.envoy
async def test_a_fault_that_stands_by_is_started_and_ended_at_a_proxy(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "fault.yaml")])
        target = Target(edge.place().addresses[80])

        async def statuses():
            request = Request("GET", "/armed", "fault.example.test")
            return {(await client.send(target, request)).status for _ in range(10)}

        assert await statuses() == {200}
        await edge.envoy.admin("/runtime_modify?chaos.demo/fault/armed.abort=100", "POST")
        assert await statuses() == {503}
        await edge.envoy.admin("/runtime_modify?chaos.demo/fault/armed.abort=", "POST")
        assert await statuses() == {200}
