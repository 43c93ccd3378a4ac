"""`redirect` and `respond`: what they become and what they refuse."""

from __future__ import annotations

import pytest
from envoy.config.route.v3.route_components_pb2 import RedirectAction
from tests.features.translation import FORWARD, answer, refused


def redirect(prefix="/", /, **block):
    return answer(redirect=block, matches=[{"path": {"value": prefix}}]).redirect


def test_a_redirect_is_temporary_and_keeps_the_query():
    found = redirect(scheme="https")
    assert found == RedirectAction(scheme_redirect="https", response_code=RedirectAction.FOUND)


@pytest.mark.parametrize(("status", "code"), [(301, 0), (302, 1), (303, 2), (307, 3), (308, 4)])
def test_each_status(status, code):
    assert redirect(scheme="https", statusCode=status).response_code == code


def test_prefixes():
    assert redirect("/old/", path={"replacePrefix": "/new/"}).prefix_rewrite == "/new"
    assert redirect("/", path={"replacePrefix": "/new"}).prefix_rewrite == "/new/"
    away = redirect("/a.b", path={"replacePrefix": "/"}).regex_rewrite
    assert (away.pattern.regex, away.substitution) == (r"^/a\.b/*", "/")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({}, "at least one of"),
        ({"statusCode": 301}, "at least one of"),
        ({"scheme": "ftp"}, "redirect.scheme"),
        ({"scheme": "https", "statusCode": 200}, "redirect.statusCode"),
        ({"hostname": "*.example.org"}, "redirect.hostname"),
        ({"path": {"replaceFull": "/a?b"}}, "redirect.path.replaceFull"),
        ({"path": {"regex": {"pattern": "(", "substitution": "a"}}}, "redirect.path.regex.pattern"),
        ({"path": {"regex": {"pattern": "a", "substitution": r"\1"}}}, "redirect.path.regex.substitution"),
    ],
)
def test_redirects_no_proxy_could_answer(block, said):
    assert said in refused(redirect=block)


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("block", ["maintenance", "fault"])
def test_answers_with_a_body_of_their_own_have_a_status_for_it(block, status):
    blocks = {"maintenance": {"page": {"status": status}}, "fault": {"abort": {"status": status}}}
    assert "have no body" in refused(**FORWARD, **{block: blocks[block]})


def test_a_prefix_is_replaced_only_where_one_was_matched():
    block = {"path": {"replacePrefix": "/new"}}
    assert "path of type PathPrefix" in refused(
        redirect=block, matches=[{"path": {"type": "Exact", "value": "/old"}}, {"path": {"value": "/a"}}]
    )


def test_a_response():
    route = answer(respond={"status": 418, "body": "100 %", "headers": [{"name": "A", "value": "100 %"}]})
    assert (route.direct_response.status, route.direct_response.body.inline_string) == (418, "100 %")
    [header] = route.response_headers_to_add
    assert (header.header.key, header.header.value) == ("a", "100 %%")
    assert not answer(respond={"status": 204}).direct_response.HasField("body")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"status": 199}, "respond.status"),
        ({"status": 600}, "respond.status"),
        ({"status": 200, "body": "ä" * 2049}, "4098 bytes"),
        ({"status": 204, "body": "a"}, "have no body"),
        ({"status": 205, "body": "a"}, "have no body"),
        ({"status": 304, "body": "a"}, "have no body"),
        ({"status": 200, "headers": [{"name": "content-length", "value": "5"}]}, "respond.headers[0].name"),
    ],
)
def test_responses_no_proxy_could_give(block, said):
    assert said in refused(respond=block)
