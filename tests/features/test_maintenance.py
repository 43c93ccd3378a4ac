"""`maintenance`: a route ahead of the rule's own, for which nothing else of the rule is needed; switched live."""

from __future__ import annotations

import pytest
from envoy.type.v3.percent_pb2 import FractionalPercent
from tests.features.translation import ANSWER, FORWARD, refused, routes
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client

RULE = {"name": "api", "matches": [{"path": {"value": "/api"}, "method": "GET"}]}


def test_the_page_stands_by_ahead_of_the_rule():
    page, main = routes(FORWARD | RULE | {"maintenance": {}})
    share = page.match.runtime_fraction
    assert (share.runtime_key, share.default_value.numerator) == ("maint.default/site/api", 0)
    assert share.default_value.denominator == FractionalPercent.HUNDRED
    assert (page.direct_response.status, page.direct_response.body.inline_string) == (503, "Down for maintenance.\n")
    assert main.HasField("route")
    assert not main.match.HasField("runtime_fraction")
    page.match.ClearField("runtime_fraction")
    assert page.match == main.match


@pytest.mark.parametrize(("enabled", "share"), [(True, 100), (False, 0)])
def test_it_is_switched_on_in_the_object(enabled, share):
    page, _ = routes(FORWARD | {"maintenance": {"enabled": enabled}})
    assert page.match.runtime_fraction.default_value.numerator == share


def test_a_page():
    wanted = {"status": 200, "body": "100 % back soon", "contentType": "text/html; charset=utf-8"}
    page, _ = routes(FORWARD | {"maintenance": {"page": wanted}})
    assert (page.direct_response.status, page.direct_response.body.inline_string) == (200, "100 % back soon")
    assert [(one.header.key, one.header.value) for one in page.response_headers_to_add] == [
        ("content-type", "text/html; charset=utf-8")
    ]


def test_a_page_can_be_empty():
    page, _ = routes(FORWARD | {"maintenance": {"page": {"body": ""}}})
    assert not page.direct_response.HasField("body")


def test_each_match_has_its_page_under_one_key():
    matches = [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}]
    found = routes(FORWARD | {"name": "api", "matches": matches, "maintenance": {}})
    assert [one.HasField("direct_response") for one in found] == [True, False, True, False]
    assert {one.match.runtime_fraction.runtime_key for one in found[::2]} == {"maint.default/site/api"}


def test_rules_that_answer_by_themselves_have_pages_too():
    page, _ = routes(ANSWER | {"maintenance": {"enabled": True}})
    assert page.direct_response.status == 503


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({"maintenance": {"page": {"status": 100}}}, "maintenance.page.status"),
        ({"maintenance": {"page": {"body": "ä" * 2049}}}, "maintenance.page.body: longer than 4096 bytes"),
        ({"maintenance": {"page": {"body": "a" * 4097}}}, "maintenance.page.body"),
        ({"maintenance": {"page": {"contentType": "html"}}}, "maintenance.page.contentType"),
        ({"maintenance": {}, "matches": [{"percent": "5"}]}, "maintenance: takes all requests of a rule"),
    ],
)
def test_mistakes_are_named(blocks, said):
    assert said in refused(**FORWARD, **blocks)


@pytest.mark.envoy
async def test_operators_switch_it_at_a_proxy_without_any_change_of_objects(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "maintenance.yaml")])
        target = Target(edge.place().addresses[80])

        async def status(path):
            return (await client.send(target, Request("GET", path, "maintenance.example.test"))).status

        async def switch(rule, value):
            await edge.envoy.admin(f"/runtime_modify?maint.demo/maintenance/{rule}={value}", "POST")

        assert [await status("/"), await status("/shop")] == [200, 503]
        await switch("standby", "100")
        await switch("shop", "0")
        assert [await status("/"), await status("/shop")] == [503, 200]
        await switch("standby", "")
        await switch("shop", "")
        assert [await status("/"), await status("/shop")] == [200, 503]
