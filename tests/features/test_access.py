"""`access`: who is let in, in one policy; with a trusted proxy in front, the client it reports."""

from __future__ import annotations

import pytest
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBACPerRoute
from google.protobuf.json_format import MessageToDict
from tests.features.translation import ANSWER, FORWARD, chain, edge_with, per_route, refused, routes, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client

NAME = "envoy.filters.http.rbac"


def principals(**access):
    config = per_route(rule(access=access), NAME, RBACPerRoute())
    assert config.rbac.rules.action == config.rbac.rules.ALLOW
    (policy,) = config.rbac.rules.policies.values()
    (principal,) = policy.principals
    return MessageToDict(principal)["andIds"]["ids"]


def cidr(address, length):
    return {"remoteIp": {"addressPrefix": address, "prefixLen": length}}


def test_only_the_listed_are_allowed():
    assert principals(allow=["10.0.0.0/8", "2001:db8::7"]) == [
        {"orIds": {"ids": [cidr("10.0.0.0", 8), cidr("2001:db8::7", 128)]}}
    ]


def test_all_but_the_listed_are_allowed():
    assert principals(deny=["192.0.2.7"]) == [{"any": True}, {"notId": {"orIds": {"ids": [cidr("192.0.2.7", 32)]}}}]


def test_who_is_denied_stays_out_though_allowed():
    assert principals(allow=["10.0.0.0/8"], deny=["10.1.0.0/16"]) == [
        {"orIds": {"ids": [cidr("10.0.0.0", 8)]}},
        {"notId": {"orIds": {"ids": [cidr("10.1.0.0", 16)]}}},
    ]


def test_rules_that_answer_by_themselves_are_guarded_too():
    [route] = routes({**ANSWER, "access": {"deny": ["10.0.0.0/8"]}})
    assert NAME in route.typed_per_filter_config


def test_the_filter_stands_in_the_chain_before_limits_and_faults():
    names = chain(edge_with(FORWARD))
    wanted = ["envoy.filters.http.cors", NAME, "envoy.filters.http.local_ratelimit", "envoy.filters.http.fault"]
    assert [name for name in names if name in wanted] == wanted


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ({}, "set at least one of: allow, deny"),
        ({"allow": []}, "access.allow"),
        ({"allow": ["10.0.0.0/8", "10.1.2.3/8"]}, "access.allow[1]: …10.1.2.3/8…is not a network"),
        ({"deny": ["300.1.1.1"]}, "access.deny[0]: …300.1.1.1…is not a network"),
        ({"deny": ["2001:db8::/129"]}, "access.deny[0]: …2001:db8::/129…is not a network"),
    ],
)
def test_mistakes_are_named(access, said):
    told = refused(**FORWARD, access=access)
    assert all(part in told for part in said.split("…")), told


def trusting(objects, hops):
    """The example gateway behind so many proxies."""
    for key, raw in objects:
        spec = raw.get("spec")
        yield key, {**raw, "spec": {**spec, "hardening": {"trustedHops": hops}}} if key.kind == "EdgeGateway" else raw


@pytest.mark.envoy
async def test_behind_a_trusted_proxy_the_client_it_reports_counts(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        examples = edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "access.yaml")
        await edge.serve([*edge.scenery(), *trusting(examples, 1)])
        target = Target(edge.place().addresses[80])
        got = {}
        for reported in ("10.1.1.1", "192.0.2.1", "10.1.1.1, 192.0.2.1", "192.0.2.1, 10.1.1.1", "2001:db8::9"):
            request = Request("GET", "/office", "access.example.test", (("x-forwarded-for", reported),))
            got[reported] = (await client.send(target, request)).status
        assert got == {
            "10.1.1.1": 200,
            "192.0.2.1": 403,
            "10.1.1.1, 192.0.2.1": 403,
            "192.0.2.1, 10.1.1.1": 200,
            "2001:db8::9": 200,
        }
