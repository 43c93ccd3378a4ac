"""`retry`: what it becomes, where its budget lives, and that the budget holds."""

from __future__ import annotations

import asyncio

import pytest
from tests.features.translation import ANSWER, FORWARD, clusters, edge_with, refused, routes, rule, virtual_host
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client

BUDGET = {"percent": "20", "minConcurrency": 1}


def policy(**retry):
    return rule(retry=retry).route.retry_policy


def test_by_default_only_what_reached_nobody_is_tried_again():
    found = policy(attempts=2)
    assert (found.retry_on, found.num_retries.value) == ("connect-failure,refused-stream", 2)
    [predicate] = found.retry_host_predicate
    assert predicate.name == "envoy.retry_host_predicates.previous_hosts"
    assert not found.HasField("per_try_timeout")


def test_all_that_can_be_said():
    found = policy(
        attempts=1, retryOn=["5xx", "reset"], statusCodes=[409, 503], perTry="200ms", backoff={"base": "10ms"}
    )
    assert found.retry_on == "5xx,reset,retriable-status-codes"
    assert list(found.retriable_status_codes) == [409, 503]
    assert found.per_try_timeout.ToMilliseconds() == 200
    assert found.retry_back_off.base_interval.ToMilliseconds() == 10
    assert found.retry_back_off.max_interval.ToMilliseconds() == 100


@pytest.mark.parametrize("condition", ["retriable-headers", "http3-post-connect-failure", "sometimes"])
def test_conditions_that_would_never_hold_are_refused(condition):
    assert "retryOn" in refused(**FORWARD, retry={"attempts": 1, "retryOn": [condition]})


@pytest.mark.parametrize(
    ("backoff", "said"),
    [({"base": "0s"}, "retry.backoff.base"), ({"base": "100ms", "max": "50ms"}, "retry.backoff.max")],
)
def test_pauses_no_proxy_would_take(backoff, said):
    assert said in refused(**FORWARD, retry={"attempts": 1, "backoff": backoff})


def test_no_retries_of_an_answer():
    assert "need backendRefs" in refused(**ANSWER, retry={"attempts": 1})


INHERITED = {"retry": {"attempts": 2, "retryOn": ["5xx"]}}


def test_the_gateways_retries_count_where_a_rule_has_none():
    assert routes(FORWARD, defaults=INHERITED)[0].route.retry_policy.num_retries.value == 2
    own = FORWARD | {"retry": {"attempts": 1}}
    assert routes(own, defaults=INHERITED)[0].route.retry_policy.num_retries.value == 1
    off = FORWARD | {"retry": {"attempts": 0}}
    assert not routes(off, defaults=INHERITED)[0].route.HasField("retry_policy")


def test_a_budget_is_one_of_the_cluster():
    with_budget = FORWARD | {"retry": {"attempts": 1, "budget": BUDGET}}
    edge = edge_with(with_budget, FORWARD | {"matches": [{"path": {"value": "/a"}}]})
    assert len(clusters(edge)) == 2
    used = {route.match.prefix or "/a": route.route.cluster for route in virtual_host(edge).routes}
    assert used["/a"] == "default/web/80"
    assert used["/"].startswith("default/web/80/")


def test_an_inherited_budget_is_one_of_the_cluster_too():
    defaults = {"retry": INHERITED["retry"] | {"budget": BUDGET}}
    own = FORWARD | {"retry": {"attempts": 1}, "matches": [{"path": {"value": "/own"}}]}
    edge = edge_with(FORWARD, own, defaults=defaults)
    [mine, inherited] = virtual_host(edge).routes
    assert mine.route.cluster == "default/web/80"
    direct = edge_with(FORWARD | {"retry": {"attempts": 1, "budget": BUDGET}})
    assert clusters(direct) == {inherited.route.cluster}
    assert clusters(edge) == {mine.route.cluster, inherited.route.cluster}


@pytest.mark.envoy
async def test_a_budget_keeps_retries_few(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "retry.yaml")])
        target = Target(edge.place().addresses[80])
        failing = Request("GET", "/budget?status=503&delay=300ms", "retry.example.test")
        replies = await asyncio.gather(*(client.send(target, failing) for _ in range(20)))
        assert {reply.status for reply in replies} == {503}
        # Without the budget there would be 80; it lets 20 % of those in flight be tried again.
        assert 21 <= edge.upstreams["echo-c"].requests <= 32
        overflow = await edge.envoy.stats("upstream_rq_retry_overflow")
        assert sum(overflow.values()) >= 10
