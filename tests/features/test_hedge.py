"""`hedge`: a copy at the bound on each try, which needs a retry; real copies at real backends."""

from __future__ import annotations

import pytest
from tests.features.translation import ANSWER, FORWARD, refused, routes, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client

RETRY = {"attempts": 3, "retryOn": ["5xx"]}


def test_a_copy_is_sent_when_a_try_takes_long():
    action = rule(hedge={"after": "200ms"}).route
    assert action.hedge_policy.hedge_on_per_try_timeout
    assert action.retry_policy.per_try_timeout.ToMilliseconds() == 200
    assert action.retry_policy.num_retries.value == 1
    assert action.retry_policy.retry_on == "connect-failure,refused-stream"
    assert [one.name for one in action.retry_policy.retry_host_predicate] == [
        "envoy.retry_host_predicates.previous_hosts"
    ]


def test_retries_say_how_many_copies_there_may_be():
    policy = rule(hedge={"after": "200ms"}, retry=RETRY).route.retry_policy
    assert (policy.num_retries.value, policy.retry_on) == (3, "5xx")
    assert policy.per_try_timeout.ToMilliseconds() == 200
    assert len(policy.retry_host_predicate) == 1


def test_with_retries_switched_off_there_is_one_copy():
    policy = rule(hedge={"after": "200ms"}, retry={"attempts": 0}).route.retry_policy
    assert policy.num_retries.value == 1


def test_inherited_bounds_give_way():
    defaults = {"timeouts": {"backendRequest": "5s"}, "retry": RETRY | {"perTry": "4s"}}
    (route,) = routes(FORWARD | {"hedge": {"after": "200ms"}}, defaults=defaults)
    assert route.route.retry_policy.per_try_timeout.ToMilliseconds() == 200


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({"hedge": {}}, "hedge.after"),
        ({"hedge": {"after": "0s"}}, "hedge.after: 0 is no time"),
        ({"hedge": {"after": "1s"}, "retry": RETRY | {"perTry": "1s"}}, "hedge.after takes the place of retry.perTry"),
        ({"hedge": {"after": "1s"}, "timeouts": {"backendRequest": "1s"}}, "hedge.after takes the place of"),
    ],
)
def test_mistakes_are_named(blocks, said):
    assert said in refused(**FORWARD, **blocks)


def test_it_needs_a_backend():
    assert "need backendRefs" in refused(**ANSWER, hedge={"after": "1s"})


@pytest.mark.envoy
async def test_a_slow_request_arrives_at_two_backends_and_a_quick_one_at_one(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "hedge.yaml")])
        target = Target(edge.place().addresses[80])

        async def arrived(query):
            slow = [edge.upstreams[name] for name in ("echo-b", "echo-c")]
            before = [upstream.requests for upstream in slow]
            reply = await client.send(target, Request("GET", f"/both-slow{query}", "hedge.example.test"))
            counts = [upstream.requests - earlier for upstream, earlier in zip(slow, before, strict=True)]
            return reply.status, sorted(counts)

        assert await arrived("?delay=600ms") == (200, [1, 1])
        assert await arrived("") == (200, [0, 1])
