"""`cors`: the policy, the origins it takes, and the preflights of rules that take one method."""

from __future__ import annotations

import re

import pytest
from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from tests.features.translation import ANSWER, FORWARD, chain, edge_with, per_route, refused, routes, rule

NAME = "envoy.filters.http.cors"
SHOP = {"allowOrigins": ["https://www.shop.example"]}


def policy(**cors):
    return per_route(rule(cors=cors), NAME, CorsPolicy())


def test_a_policy():
    found = policy(
        **SHOP,
        allowMethods=["GET", "PUT"],
        allowHeaders=["x-a", "x-b"],
        exposeHeaders=["x-c", "x-d"],
        maxAge="1h",
        allowCredentials=True,
    )
    assert [origin.exact for origin in found.allow_origin_string_match] == ["https://www.shop.example"]
    assert (found.allow_methods, found.allow_headers, found.expose_headers) == ("GET, PUT", "x-a, x-b", "x-c, x-d")
    assert (found.max_age, found.allow_credentials.value) == ("3600", True)


def test_what_is_absent_is_left_to_browsers():
    found = policy(**SHOP)
    assert (found.allow_methods, found.allow_headers, found.expose_headers, found.max_age) == ("", "", "", "")
    assert not found.HasField("allow_credentials")


def test_a_preflight_from_elsewhere_goes_nowhere():
    found = policy(**SHOP)
    assert found.HasField("forward_not_matching_preflights")
    assert not found.forward_not_matching_preflights.value


def test_caches_keep_the_answers_to_origins_apart():
    (vary,) = rule(cors=SHOP).response_headers_to_add
    assert (vary.header.key, vary.header.value) == ("vary", "origin")
    assert vary.append_action == HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


@pytest.mark.parametrize(
    ("cors", "origin", "taken"),
    [
        ({"allowOrigins": ["https://*.a.example"]}, "https://b.a.example", True),
        ({"allowOrigins": ["https://*.a.example"]}, "https://c.b.a.example", True),
        ({"allowOrigins": ["https://*.a.example"]}, "https://a.example", False),
        ({"allowOrigins": ["https://*.a.example"]}, "https://xa.example", False),
        ({"allowOrigins": ["https://*.a.example"]}, "https://b.aXexample", False),
        ({"allowOrigins": ["https://*.a.example"]}, "http://b.a.example", False),
        ({"allowOrigins": ["https://*.a.example"]}, "https://b.a.example:8443", False),
        ({"allowOrigins": ["https://*.a.example:8443"]}, "https://b.a.example:8443", True),
        ({"allowOrigins": ["https://*.a.example"]}, "https://evil.example/b.a.example", False),
        ({"allowOrigins": ["*"]}, "capacitor://localhost", True),
        ({"allowOriginRegexes": [r"https://pr-[0-9]+\.a\.example"]}, "https://pr-1.a.example", True),
        ({"allowOriginRegexes": [r"https://pr-[0-9]+\.a\.example"]}, "https://pr-.a.example", False),
    ],
)
def test_wildcards_and_expressions(cors, origin, taken):
    (matcher,) = policy(**cors).allow_origin_string_match
    assert bool(re.fullmatch(matcher.safe_regex.regex, origin)) is taken


def headers(route):
    return {header.name: header.present_match or header.string_match.exact for header in route.match.headers}


def test_a_rule_for_one_method_takes_its_preflights():
    matches = [{"path": {"value": "/a"}, "method": "PUT", "headers": [{"name": "x-a", "value": "1"}]}]
    preflight, main = routes(FORWARD | {"matches": matches, "cors": SHOP})
    assert headers(main) == {":method": "PUT", "x-a": "1"}
    assert headers(preflight) == {
        "access-control-request-method": "PUT",
        ":method": "OPTIONS",
        "origin": True,
        "x-a": "1",
    }
    assert preflight.match.path_separated_prefix == "/a"
    assert preflight.typed_per_filter_config == main.typed_per_filter_config


def test_a_rule_for_all_methods_needs_no_more_routes():
    assert len(routes(FORWARD | {"matches": [{"path": {"value": "/a"}}], "cors": SHOP})) == 1


def test_the_filter_stands_first_of_those_that_refuse():
    names = chain(edge_with(FORWARD))
    assert names.index(NAME) < names.index("envoy.filters.http.rbac")


@pytest.mark.parametrize(
    ("cors", "said"),
    [
        ({}, "set at least one of: allowOrigins, allowOriginRegexes"),
        ({"allowOrigins": ["*"], "allowCredentials": True}, "'*' would hand users' data to every site"),
        (SHOP | {"exposeHeaders": ["*"], "allowCredentials": True}, "cors.exposeHeaders: with allowCredentials"),
        (SHOP | {"maxAge": "1500ms"}, "cors.maxAge: 1500ms is not a whole number of seconds"),
        ({"allowOriginRegexes": ["https://(a"]}, "cors.allowOriginRegexes[0]"),
        ({"allowOrigins": ["www.shop.example"]}, 'did you mean "https://www.shop.example"'),
        ({"allowOrigins": ["https://www.shop.example/"]}, 'did you mean "https://www.shop.example"'),
        (SHOP | {"allowMethods": ["get"]}, "cors.allowMethods[0]"),
    ],
)
def test_mistakes_are_named(cors, said):
    assert said in refused(**FORWARD, cors=cors)


def test_it_needs_a_backend():
    assert "need backendRefs" in refused(**ANSWER, cors=SHOP)
