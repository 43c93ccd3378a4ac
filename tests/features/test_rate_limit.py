"""`rateLimit.local`: the bucket, one bucket for each client, and what survives a change of routes."""

from __future__ import annotations

import pytest
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from tests.features.translation import ANSWER, FORWARD, per_route, refused, routes, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client

NAME = "envoy.filters.http.local_ratelimit"


def limit(**local):
    return per_route(rule(rateLimit={"local": local}), NAME, LocalRateLimit())


def tokens(bucket):
    return (bucket.max_tokens, bucket.tokens_per_fill.value, bucket.fill_interval.ToMilliseconds())


def test_a_bucket():
    found = limit(requests=5, per="2s")
    assert tokens(found.token_bucket) == (5, 5, 2000)
    assert (found.filter_enabled.default_value.numerator, found.filter_enforced.default_value.numerator) == (100, 100)
    assert found.rate_limited_as_resource_exhausted
    assert not found.descriptors


def test_a_burst():
    assert tokens(limit(requests=5, per="1s", burst=50).token_bucket) == (50, 5, 1000)


def test_the_client_is_told_when_to_come_back():
    # Field 19, enable_retry_after_header, is not in the message library.
    assert b"\x98\x01\x01" in limit(requests=1, per="1s").SerializeToString()


@pytest.mark.parametrize(("headers", "version"), [(True, 1), (False, 0), (None, 0)])
def test_headers_are_told_on_request(headers, version):
    local = {"requests": 1, "per": "1s"} | ({} if headers is None else {"headers": headers})
    assert limit(**local).enable_x_ratelimit_headers == version


def test_each_client_has_a_bucket_and_the_common_one_is_not_used():
    found = limit(requests=3, per="1m", burst=6, perClient={})
    (descriptor,) = found.descriptors
    assert tokens(descriptor.token_bucket) == (6, 3, 60_000)
    assert [(entry.key, entry.value) for entry in descriptor.entries] == [("masked_remote_address", "")]
    (action,) = [action for limit in found.rate_limits for action in limit.actions]
    address = action.masked_remote_address
    assert (address.v4_prefix_mask_len.value, address.v6_prefix_mask_len.value) == (32, 64)
    assert found.max_dynamic_descriptors.value == 10_000
    assert found.HasField("always_consume_default_token_bucket")
    assert not found.always_consume_default_token_bucket.value
    assert found.token_bucket.max_tokens == 2**32 - 1


def test_remembered_clients_are_bounded():
    assert limit(requests=3, per="1m", perClient={"maxClients": 7}).max_dynamic_descriptors.value == 7


def test_rules_that_answer_by_themselves_are_limited_too():
    [route] = routes({**ANSWER, "rateLimit": {"local": {"requests": 1, "per": "1s"}}})
    assert NAME in route.typed_per_filter_config


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({}, "set at least one of: local"),
        ({"local": {"requests": 0, "per": "1s"}}, "rateLimit.local.requests"),
        ({"local": {"requests": 1}}, "rateLimit.local.per"),
        ({"local": {"requests": 1, "per": "49ms"}}, "rateLimit.local.per: 49ms is not from 50ms to 24h"),
        ({"local": {"requests": 1, "per": "25h"}}, "rateLimit.local.per: 25h is not from 50ms to 24h"),
        ({"local": {"requests": 1, "per": "1s", "perClient": {"maxClients": 0}}}, "local.perClient.maxClients"),
    ],
)
def test_mistakes_are_named(block, said):
    assert said in refused(**FORWARD, rateLimit=block)


def behind_a_proxy(objects):
    for key, raw in objects:
        spec = raw.get("spec")
        yield key, {**raw, "spec": {**spec, "hardening": {"trustedHops": 1}}} if key.kind == "EdgeGateway" else raw


@pytest.mark.envoy
async def test_clients_do_not_use_up_what_is_there_for_others(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        examples = edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "rate-limit.yaml")
        await edge.serve([*edge.scenery(), *behind_a_proxy(examples)])
        target = Target(edge.place().addresses[80])

        async def passed(address):
            request = Request("GET", "/each", "rate-limit.example.test", (("x-forwarded-for", address),))
            return sum([(await client.send(target, request)).status == 200 for _ in range(4)])

        assert [await passed(address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [3, 3, 0]
        assert [await passed(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")] == [3, 0, 3]


@pytest.mark.envoy
async def test_a_change_of_routes_fills_the_buckets(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "rate-limit.yaml")])
        target = Target(edge.place().addresses[80])

        async def passed():
            request = Request("GET", "/all", "rate-limit.example.test")
            return sum([(await client.send(target, request)).status == 200 for _ in range(7)])

        assert [await passed(), await passed()] == [5, 0]
        await edge.apply(edge.objects(EXAMPLES / "access.yaml"))
        assert await passed() == 5
