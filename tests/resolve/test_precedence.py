"""Which match is asked first, and which matches of two Routes are equal."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from tests.core.objects import gateway, put, route

from northgate.api.match import Match
from northgate.resolve.precedence import likeness
from northgate.snapshot.edge import Edge

HEADER = {"name": "a", "value": "1"}
PARAMETER = {"name": "a", "value": "1"}
PATH = {"value": "/a"}

ORDER = [
    {"path": {"type": "Exact", "value": "/a/longer"}},
    {"path": {"type": "Exact", "value": "/a"}},
    {"path": {"value": "/a/longer"}},
    {"path": PATH, "method": "GET", "headers": [HEADER]},
    {"path": PATH, "method": "GET"},
    {"path": PATH, "headers": [HEADER, HEADER | {"name": "b"}]},
    {"path": PATH, "cookies": [PARAMETER], "queryParams": [PARAMETER]},
    {"path": PATH, "headers": [HEADER]},
    {"path": PATH, "queryParams": [PARAMETER], "clientAddresses": ["10.0.0.0/8"]},
    {"path": PATH, "queryParams": [PARAMETER]},
    {"path": PATH, "clientAddresses": ["10.0.0.0/8"], "percent": "5"},
    {"path": PATH, "clientAddresses": ["10.0.0.0/8"]},
    {"path": PATH, "percent": "5"},
    {"path": PATH},
    {"path": {"type": "RegularExpression", "value": "/a.*"}},
    {"path": {"type": "RegularExpression", "value": "/."}},
    {"method": "GET"},
    {"headers": [HEADER]},
    {"path": {"value": "/"}},
]


def asked(*rules):
    """The names of the rules in the order they are asked."""
    edge = Edge()
    named = [{"name": name, "matches": [match], "respond": {"status": 204}} for name, match in rules]
    edge.apply([gateway(), route("site", *named)])
    [table] = [table for _, table in edge.compiler.host_tables.items()]
    return [named[ranked.rule]["name"] for ranked in table.order]


@pytest.mark.parametrize(("first", "second"), list(pairwise(ORDER)), ids=json.dumps)
def test_the_more_specific_match_comes_first(first, second):
    assert asked(("first", first), ("second", second)) == ["first", "second"]
    assert asked(("second", second), ("first", first)) == ["first", "second"]


def test_equal_matches_of_one_route_are_asked_in_its_order():
    assert asked(("one", {"path": PATH}), ("two", {"path": PATH})) == ["one", "two"]


SPELLINGS = [
    ({"path": {"value": "/a"}}, {"path": {"type": "PathPrefix", "value": "/a/"}}),
    ({"method": "GET"}, {"method": "GET", "path": {"value": "/"}}),
    ({"headers": [HEADER]}, {"headers": [{"name": "A", "type": "Exact", "value": "1", "invert": False}]}),
    ({"headers": [HEADER, HEADER | {"name": "b"}]}, {"headers": [HEADER | {"name": "b"}, HEADER]}),
    ({"queryParams": [PARAMETER]}, {"queryParams": [PARAMETER | {"type": "Exact"}]}),
    ({"cookies": [PARAMETER]}, {"cookies": [PARAMETER | {"invert": False}]}),
]
OTHERS = [
    ({"path": {"type": "Exact", "value": "/a"}}, {"path": {"type": "Exact", "value": "/a/"}}),
    ({"path": {"value": "/a"}}, {"path": {"type": "Exact", "value": "/a"}}),
    ({"headers": [HEADER]}, {"headers": [HEADER | {"invert": True}]}),
    ({"queryParams": [PARAMETER]}, {"queryParams": [PARAMETER | {"name": "A"}]}),
    ({"cookies": [PARAMETER]}, {"headers": [HEADER]}),
]


def parsed(match):
    return Match.model_validate_json(json.dumps(match))


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_equal_in_other_words(one, other):
    assert likeness(parsed(one)) == likeness(parsed(other))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_different(one, other):
    assert likeness(parsed(one)) != likeness(parsed(other))


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_an_equal_match_of_a_younger_route_is_told_who_won(one, other):
    edge = Edge()
    rules = [{"matches": [match], "respond": {"status": 204}} for match in (one, other)]
    edge.apply([gateway(), *(_at(name, second, rule) for name, second, rule in zip("ab", (2, 1), rules, strict=True))])
    [table] = [table for _, table in edge.compiler.host_tables.items()]
    assert [(clash.loser[1], clash.winner[1]) for clash in table.clashes] == [("a", "b")]


def _at(name, second, rule):
    spec = {"parentRefs": [{"name": "edge", "namespace": "default"}], "rules": [rule]}
    return put("Route", name, spec, metadata={"creationTimestamp": f"2026-01-01T00:00:0{second}Z"})
