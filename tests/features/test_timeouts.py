"""`timeouts`: what they become, and where they come from."""

from __future__ import annotations

import pytest
from tests.features.translation import ANSWER, FORWARD, refused, routes, rule


def test_the_whole_request_is_bounded_by_default():
    assert rule().route.timeout.ToMilliseconds() == 15_000
    assert not rule().route.HasField("idle_timeout")
    assert not rule().route.HasField("retry_policy")


def test_each_bound():
    action = rule(timeouts={"request": "1m30s", "backendRequest": "250ms", "idle": "0s"}).route
    assert action.timeout.seconds == 90
    assert action.retry_policy.per_try_timeout.ToMilliseconds() == 250
    assert action.HasField("idle_timeout")
    assert action.idle_timeout.ToMilliseconds() == 0


def test_a_retrys_own_bound_is_the_more_precise_one():
    action = rule(timeouts={"backendRequest": "250ms"}, retry={"attempts": 1, "perTry": "100ms"}).route
    assert action.retry_policy.per_try_timeout.ToMilliseconds() == 100


@pytest.mark.parametrize(("own", "milliseconds"), [({}, 2000), ({"timeouts": {"request": "0s"}}, 0)])
def test_the_gateways_bound_counts_where_a_rule_has_none(own, milliseconds):
    [route] = routes(FORWARD | own, defaults={"timeouts": {"request": "2s"}})
    assert route.route.timeout.ToMilliseconds() == milliseconds


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (FORWARD | {"timeouts": {}}, "at least one of"),
        (FORWARD | {"timeouts": {"request": "1.5s"}}, "timeouts.request"),
        (ANSWER | {"timeouts": {"request": "1s"}}, "need backendRefs"),
    ],
)
def test_nothing_is_accepted_that_does_nothing(rule, said):
    assert said in refused(**rule)
