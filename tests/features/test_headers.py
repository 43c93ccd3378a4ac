"""`requestHeaders` and `responseHeaders`: what they become, which text stays text, and which headers are left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.translation import ANSWER, FORWARD, refused, rule

from northgate.api.header import OPERATORS, literal

ADDED = {"APPEND": 0, "OVERWRITE": 2}


def options(found):
    return [(one.header.key, one.header.value, one.append_action) for one in found]


def test_set_add_and_remove():
    changes = {"set": [{"name": "A", "value": "1"}], "add": [{"name": "b", "value": ""}], "remove": ["C"]}
    route = rule(requestHeaders=changes, responseHeaders=changes)
    for added, removed in (
        (route.request_headers_to_add, route.request_headers_to_remove),
        (route.response_headers_to_add, route.response_headers_to_remove),
    ):
        assert options(added) == [("a", "1", ADDED["OVERWRITE"]), ("b", "", ADDED["APPEND"])]
        assert all(one.keep_empty_value for one in added)
        assert list(removed) == ["c"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("plain", "plain"),
        ("100%", "100%%"),
        ("%%", "%%%%"),
        ("%START_TIME%", "%START_TIME%"),
        ("%REQ(x-Tenant)%", "%REQ(x-Tenant)%"),
        ("a%PROTOCOL%b%", "a%PROTOCOL%b%%"),
        ("%ENVIRONMENT(HOME)%", "%%ENVIRONMENT(HOME)%%"),
        ("%REQ(:path)%", "%%REQ(:path)%%"),
        ("%REQ(a):5%", "%%REQ(a):5%%"),
        ("%START_TIME(%s)%", "%%START_TIME(%%s)%%"),
        ("%UPSTREAM_METADATA%", "%%UPSTREAM_METADATA%%"),
        ("%PROTOCOL", "%%PROTOCOL"),
    ],
)
def test_only_listed_operators_are_operators(written, sent):
    assert literal(written) == sent


PIECES = ["%", "%%", "a", "REQ(a)", "ENVIRONMENT(HOME)", "(", ")", *sorted(OPERATORS), "CEL(request.headers)"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_no_operator_is_text(value):
    read = re.sub("%%|%([^%]*)%", lambda found: f"<{found[1]}>" if found[1] is not None else "\0", literal(value))
    assert "%" not in read
    assert set(re.findall("<(.*?)>", read)) <= OPERATORS | {"REQ(a)"}
    assert re.sub("<(.*?)>", r"%\1%", read).replace("\0", "%") == value


@pytest.mark.parametrize("name", ["Host", "connection", "content-length", "Transfer-Encoding", "te", "upgrade"])
@pytest.mark.parametrize("block", ["requestHeaders", "responseHeaders"])
def test_headers_of_the_connection_are_left_alone(name, block):
    for changes in ({"set": [{"name": name, "value": "1"}]}, {"remove": [name]}):
        assert "cannot be changed here" in refused(**FORWARD, **{block: changes})


def test_orders_to_the_proxy_are_left_to_their_blocks():
    changed = {"set": [{"name": "X-Envoy-Retry-On", "value": "5xx"}]}
    assert "requestHeaders.set[0].name: header 'X-Envoy-Retry-On' is an order" in refused(
        **FORWARD, requestHeaders=changed
    )
    removed = {"remove": ["x-envoy-external-address"]}
    assert rule(requestHeaders=removed).request_headers_to_remove == removed["remove"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (FORWARD | {"requestHeaders": {}}, "at least one of"),
        (FORWARD | {"requestHeaders": {"set": [{"name": ":path", "value": "/"}]}}, "set[0].name"),
        (FORWARD | {"requestHeaders": {"set": [{"name": "a", "value": "1\r\nb: 2"}]}}, "set[0].value"),
        (ANSWER | {"requestHeaders": {"remove": ["a"]}}, "need backendRefs"),
    ],
)
def test_mistakes_are_named(rule, said):
    assert said in refused(**rule)
