"""`reset` and `drop`: what they become, what they refuse, and that no backend sees what they close."""

from __future__ import annotations

import pytest
from envoy.config.route.v3.route_components_pb2 import FilterConfig
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from tests.features.translation import FORWARD, answer, chain, edge_with, per_route, refused
from tests.harness.edge import EXAMPLES, RunningEdge
from tools.build_reset_module import assembled

from northgate.api.filters import FAULT
from northgate.features.reset import RESET, Drop
from northgate.ops.exchange import Outcome, Request, Target
from northgate.ops.requests import Client


def test_the_shipped_module_is_the_readable_source():
    assert RESET.config().config.vm_config.code.local.inline_bytes == assembled()


def test_all_listeners_share_one_machine():
    config = RESET.config().config
    assert (config.vm_config.runtime, config.vm_config.vm_id) == ("envoy.wasm.runtime.v8", "northgate_reset")
    assert RESET.config() == RESET.config()


def test_the_wait_comes_before_the_close_and_both_before_the_router():
    assert Drop.filters == (FAULT, RESET)
    names = chain(edge_with(FORWARD))
    assert names.index(FAULT.name) < names.index(RESET.name)
    assert names[-2:] == [RESET.name, "envoy.filters.http.router"]


def test_reset_switches_the_module_on():
    route = answer(reset={})
    assert list(route.typed_per_filter_config) == [RESET.name]
    assert per_route(route, RESET.name, FilterConfig()).HasField("config")
    assert not route.HasField("route")


def test_drop_waits_first():
    route = answer(drop={"after": "1s500ms"})
    fault = per_route(route, FAULT.name, HTTPFault())
    assert fault.delay.fixed_delay.ToMilliseconds() == 1500
    assert (fault.delay.percentage.numerator, fault.delay.percentage.denominator) == (100, 0)
    assert fault.max_active_faults.value == 10_000
    assert per_route(route, RESET.name, FilterConfig()).HasField("config")


@pytest.mark.parametrize("after", ["0s", "61s", "1m1ms"])
def test_a_wait_has_bounds(after):
    assert f"spec.rules[0].drop.after: {after} is not between 1ms and 1m" in refused(drop={"after": after})
    assert answer(drop={"after": "1m"})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (FORWARD | {"reset": {}}, "set exactly one of"),
        ({"reset": {}, "drop": {"after": "1s"}}, "set exactly one of"),
        ({"drop": {}}, "drop.after"),
        ({"reset": {"percent": "3"}}, "reset.percent"),
        ({"reset": {}, "responseHeaders": {"remove": ["server"]}}, "responseHeaders need an answer"),
        ({"reset": {}, "retry": {"attempts": 1}}, "need backendRefs"),
    ],
    ids=["two actions", "both", "no wait", "no share of its own", "no headers of no answer", "no retry of nothing"],
)
def test_nothing_is_accepted_that_does_nothing(rule, said):
    assert said in refused(**rule)


@pytest.mark.envoy
async def test_no_backend_sees_what_is_closed_and_http2_goes_on(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "reset.yaml")])
        target = Target(edge.place().addresses[80], http=2)
        replies = [
            await client.send(target, Request("GET", path, "reset.example.test"))
            for path in ("/closed", "/tarpit", "/", "/closed", "/")
        ]
        assert [reply.outcome for reply in replies] == [
            Outcome.RESET,
            Outcome.RESET,
            Outcome.ANSWERED,
            Outcome.RESET,
            Outcome.ANSWERED,
        ]
        assert [reply.reused for reply in replies] == [False, True, True, True, True]
        assert replies[0].detail == "RST_STREAM 2"
        assert sum(upstream.requests for upstream in edge.upstreams.values()) == 2
