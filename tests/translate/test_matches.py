"""What matches become, and which ones are refused because no proxy would honour them."""

from __future__ import annotations

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from tests.features.translation import ANSWER, matched, refused, routes

CLIENT = "northgate.client_address"


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (None, "prefix", "/"),
        ({"value": "/"}, "prefix", "/"),
        ({"value": "/api"}, "path_separated_prefix", "/api"),
        ({"type": "PathPrefix", "value": "/api/"}, "path_separated_prefix", "/api"),
        ({"type": "Exact", "value": "/api/"}, "path", "/api/"),
        ({"type": "Exact", "value": "/"}, "path", "/"),
    ],
)
def test_paths(path, field, value):
    match = matched(method="GET") if path is None else matched(path=path)
    assert match.WhichOneof("path_specifier") == field
    assert getattr(match, field) == value


def test_an_expression_is_for_the_whole_path():
    match = matched(path={"type": "RegularExpression", "value": "/[a-z]+"})
    assert match.safe_regex.regex == "/[a-z]+"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"value": "a"}, {"exact": "a"}),
        ({"value": ""}, {"exact": ""}),
        ({"type": "Prefix", "value": "a"}, {"prefix": "a"}),
        ({"type": "Suffix", "value": "a"}, {"suffix": "a"}),
        ({"type": "Contains", "value": "a"}, {"contains": "a"}),
        ({"type": "Contains", "value": ""}, {"regex": "(?s).*"}),
        ({"type": "RegularExpression", "value": "a+"}, {"regex": "a+"}),
    ],
)
def test_headers(header, said):
    [matcher] = matched(headers=[{"name": "X-Tenant", **header}]).headers
    text = matcher.string_match
    kind = text.WhichOneof("match_pattern")
    assert matcher.name == "x-tenant"
    assert {"regex": text.safe_regex.regex} == said if kind == "safe_regex" else {kind: getattr(text, kind)} == said
    assert not matcher.treat_missing_header_as_empty


@pytest.mark.parametrize(
    ("header", "missing_as_empty"),
    [({"value": "a"}, True), ({"type": "RegularExpression", "value": "a+"}, True), ({"type": "Present"}, False)],
)
def test_inverted_headers_take_requests_without_the_header(header, missing_as_empty):
    [matcher] = matched(headers=[{"name": "a", "invert": True, **header}]).headers
    assert matcher.invert_match
    assert matcher.treat_missing_header_as_empty is missing_as_empty
    assert matcher.present_match is not missing_as_empty


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"value": "", "invert": True}, "headers[0].value: matches the empty value"),
        ({"type": "Contains", "value": "", "invert": True}, "headers[0].value: matches the empty value"),
        ({"type": "RegularExpression", "value": "a*", "invert": True}, "headers[0].value: matches the empty value"),
        ({"type": "RegularExpression", "value": "a*("}, "is not an RE2 expression"),
        ({"type": "Present", "value": "a"}, "forbidden"),
        ({"type": "Prefix"}, "value is required"),
        ({}, "value is required"),
    ],
)
def test_headers_that_no_proxy_could_match(header, said):
    assert said in refused(matches=[{"headers": [{"name": "a", **header}]}], **ANSWER)


@pytest.mark.parametrize("path", ["/a/./b", "/a/..", "/.", "/../a"])
@pytest.mark.parametrize("kind", ["Exact", "PathPrefix"])
def test_paths_that_are_never_asked_for(kind, path):
    assert f"path.value: {path} is never asked for" in refused(
        matches=[{"path": {"type": kind, "value": path}}], **ANSWER
    )


def test_a_dot_in_a_name_is_no_step():
    assert matched(path={"value": "/.well-known/a..b"}).path_separated_prefix == "/.well-known/a..b"


def test_connect_is_no_method_of_a_proxy_that_forwards():
    assert "method" in refused(matches=[{"method": "CONNECT"}], **ANSWER)


def test_query_parameters_and_method():
    match = matched(method="POST", queryParams=[{"name": "a", "type": "Present"}, {"name": "B", "value": "1"}])
    assert match.headers[0].string_match.exact == "POST"
    present, exact = match.query_parameters
    assert (present.name, present.present_match) == ("a", True)
    assert (exact.name, exact.string_match.exact) == ("B", "1")


def test_cookies_are_in_the_message_although_the_library_does_not_know_them():
    match = matched(cookies=[{"name": "a", "value": "1"}, {"name": "b", "value": "2", "invert": True}])
    found = [(one.field_number, one.data) for one in UnknownFieldSet(match)]
    assert found == [(17, b"\n\x01a\x12\x03\n\x011"), (17, b"\n\x01b\x12\x03\n\x012\x18\x01")]


def test_client_addresses():
    [matcher] = matched(clientAddresses=["10.0.0.0/8", "2001:db8::1"]).filter_state
    found = [(one.address_prefix, one.prefix_len.value) for one in matcher.address_match.ranges]
    assert (matcher.key, found) == (CLIENT, [("10.0.0.0", 8), ("2001:db8::1", 128)])


def test_the_clients_address_is_only_asked_for_where_a_match_needs_it():
    plain = routes({"matches": [{"path": {"value": "/a"}}], **ANSWER})
    by_client = routes({"matches": [{"path": {"value": "/a"}, "clientAddresses": ["10.0.0.0/8"]}], **ANSWER})
    assert len(plain) == 1
    assert [route.direct_response.status for route in by_client] == [204, 404]
    assert by_client[1].match.prefix == "/"
