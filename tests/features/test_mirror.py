"""`mirror`: what it becomes, and what the second backend really gets."""

from __future__ import annotations

import pytest
from envoy.type.v3.percent_pb2 import FractionalPercent
from tests.features.translation import FORWARD, OTHER, clusters, edge_with, messages, refused, routes, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Reply, Request, Target
from northgate.ops.requests import Client


def policies(**mirror):
    return rule(mirror=mirror).route.request_mirror_policies


def test_every_request_is_copied_with_its_own_host():
    [policy] = policies(backendRef=OTHER)
    assert policy.cluster == "default/other/80"
    assert policy.disable_shadow_host_suffix_append
    assert policy.runtime_fraction.default_value.numerator == 1_000_000


@pytest.mark.parametrize(("percent", "parts"), [("0", 0), ("0.25", 2500), ("100", 1_000_000)])
def test_a_share(percent, parts):
    [policy] = policies(backendRef=OTHER, percent=percent)
    assert policy.runtime_fraction.default_value == FractionalPercent(numerator=parts, denominator=2)
    assert policy.runtime_fraction.runtime_key == "mirror.default/site/0"


def test_a_share_of_what_a_share_of_the_requests_is():
    [_, route] = routes(
        FORWARD | {"matches": [{"percent": "30"}]},
        FORWARD | {"matches": [{"percent": "50"}], "mirror": {"backendRef": OTHER, "percent": "20"}},
    )
    assert route.match.runtime_fraction.default_value.numerator == 800_000
    [policy] = route.route.request_mirror_policies
    assert policy.runtime_fraction.default_value.numerator == 400_000


def test_the_backend_of_the_copies_is_a_backend():
    edge = edge_with(FORWARD | {"mirror": {"backendRef": OTHER}})
    assert clusters(edge) == {"default/web/80", "default/other/80"}


def test_without_it_requests_are_forwarded_and_the_route_says_so():
    edge = edge_with(FORWARD | {"mirror": {"backendRef": {"name": "absent", "port": 80}}})
    assert any("spec.rules[0].mirror.backendRef" in one and "absent" in one for one in messages(edge))
    assert clusters(edge) == {"default/web/80"}


def test_an_answer_of_the_edge_is_not_copied():
    assert "mirror" in refused(respond={"status": 200}, mirror={"backendRef": OTHER})
    assert routes(FORWARD)[0].route.request_mirror_policies[:] == []


@pytest.mark.envoy
async def test_who_gets_copies_of_what(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "mirror.yaml")])
        target = Target(edge.place().addresses[80])
        copies = edge.upstreams["echo-b"]

        async def send(path: str, times: int = 1) -> Reply:
            replies = [await client.send(target, Request("GET", path, "mirror.example.test")) for _ in range(times)]
            assert {reply.status for reply in replies} == {200}
            return replies[-1]

        await send("/none", 20)
        await send("/nowhere", 20)
        await send("/some", 200)
        # The copy of a later request comes after the copies of earlier ones: what is not there now never comes.
        await send("/all?last")
        last = await copies.saw(lambda seen: seen.path == "/all?last")
        assert last is not None
        assert last.headers["host"] == ("mirror.example.test",)
        paths = [seen.path for seen in copies.recent]
        assert {"/none", "/nowhere"}.isdisjoint(paths)
        assert 15 <= paths.count("/some") <= 70

        await edge.envoy.admin("/runtime_modify?mirror.demo/mirror/all=0", "POST")
        await send("/all?stopped", 20)
        await edge.envoy.admin("/runtime_modify?mirror.demo/mirror/all=", "POST")
        await send("/all?again")
        assert await copies.saw(lambda seen: seen.path == "/all?again")
        assert "/all?stopped" not in [seen.path for seen in copies.recent]
