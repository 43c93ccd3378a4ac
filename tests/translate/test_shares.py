"""Shares of requests: side by side where matches are equal, independent of weights, and no part of each other."""

from __future__ import annotations

import json
import random
from collections import Counter
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.translation import FORWARD, OTHER, WEB, edge_with, virtual_host

from northgate.api.feature import Share
from northgate.api.route import RouteSpec
from northgate.translate.shares import shares, unrelated

MILLION = 1_000_000


def spec(*rules):
    document = {"parentRefs": [{"name": "edge"}], "rules": [rule | {"respond": {"status": 204}} for rule in rules]}
    return RouteSpec.model_validate_json(json.dumps(document))


def drawn(*matches):
    found = shares(spec(*({"matches": [one]} if one else {} for one in matches)))
    return [(share.low, share.high) for [share] in found]


EVERY = (0, MILLION)
A = {"path": {"value": "/a"}}


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ([A, None], [EVERY, EVERY]),
        ([A | {"percent": "30"}, A], [(0, 300_000), (300_000, MILLION)]),
        ([A, A | {"percent": "30"}], [(300_000, MILLION), (0, 300_000)]),
        ([A | {"percent": "30"}, A | {"percent": "0.25"}, A], [(0, 300_000), (300_000, 302_500), (302_500, MILLION)]),
        ([A | {"percent": "60"}, A | {"percent": "60"}, A], [(0, 600_000), (600_000, MILLION), (MILLION, MILLION)]),
        ([A | {"percent": "30"}, {"percent": "30"}, None], [(0, 300_000), (0, 300_000), (300_000, MILLION)]),
        ([A | {"percent": "30"}, {"path": {"value": "/a/"}, "percent": "30"}], [(0, 300_000), (300_000, 600_000)]),
        ([A | {"percent": "30"}, A | {"method": "GET", "percent": "30"}], [(0, 300_000), (0, 300_000)]),
    ],
    ids=["no shares", "one", "in any order", "two", "more than all", "of all", "other spelling", "not equal"],
)
def test_equal_matches_take_their_shares_side_by_side(matches, expected):
    assert drawn(*matches) == expected


def test_several_matches_of_one_rule():
    [found] = shares(spec({"matches": [A | {"percent": "10"}, {"percent": "20"}]}))
    assert found == (Share(0, 100_000), Share(0, 200_000))


def test_a_part_of_a_share():
    share = Share(300_000, 800_000)
    assert (share.part(0), share.part(500_000), share.part(1, 4), share.part(MILLION)) == (
        300_000,
        550_000,
        425_000,
        800_000,
    )


@given(st.lists(st.integers(1, MILLION), min_size=1, max_size=16))
def test_unrelated_weights_keep_their_proportions(weights):
    found = unrelated(weights)
    total = sum(found)
    assert gcd(total, MILLION) == 1
    assert total <= 0xFFFF_FFFF
    assert min(found) > 0
    for weight, one in zip(weights, found, strict=True):
        assert abs(one / total - weight / sum(weights)) < 1e-8


def chosen(routes, number):
    """What Envoy does with the number of a request: the first route whose share it is in, then a cluster by weight."""
    for route in routes:
        fraction = route.match.runtime_fraction.default_value
        if route.match.HasField("runtime_fraction") and number % MILLION >= fraction.numerator:
            continue
        if route.HasField("direct_response"):
            return str(route.direct_response.status)
        if route.route.HasField("cluster"):
            return route.route.cluster
        clusters = route.route.weighted_clusters.clusters
        point = number % sum(one.weight.value for one in clusters)
        for one in clusters:
            point -= one.weight.value
            if point < 0:
                return one.name
    return "404"


WEIGHTED = {"backendRefs": [WEB | {"weight": 500_000}, OTHER | {"weight": 500_000}]}
ABSENT = {"name": "absent", "port": 80}
HALF = {"matches": [{"percent": "50"}]}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([HALF | WEIGHTED, {"respond": {"status": 204}}], {"web": 25, "other": 25, "204": 50}),
        ([HALF | {"respond": {"status": 204}}, WEIGHTED], {"web": 25, "other": 25, "204": 50}),
        ([HALF | FORWARD, HALF | {"backendRefs": [OTHER]}], {"web": 50, "other": 50}),
        ([{"backendRefs": [WEB, OTHER, ABSENT, ABSENT]}], {"web": 25, "other": 25, "500": 50}),
        (
            [{"backendRefs": [*WEIGHTED["backendRefs"], ABSENT | {"weight": 250_000}]}],
            {"web": 40, "other": 40, "500": 20},
        ),
        ([HALF | {"backendRefs": [WEB, ABSENT]}, {"backendRefs": [OTHER]}], {"web": 25, "500": 25, "other": 50}),
        ([HALF | {"backendRefs": [OTHER]}, {"backendRefs": [WEB, ABSENT]}], {"web": 25, "500": 25, "other": 50}),
        ([HALF | {"backendRefs": [ABSENT]}, {"backendRefs": [OTHER]}], {"500": 50, "other": 50}),
    ],
    ids=[
        "weights in a share",
        "weights behind a share",
        "two halves",
        "lost share",
        "lost share of millions",
        "lost share of a share",
        "lost share behind a share",
        "all of a share lost",
    ],
)
def test_what_becomes_of_a_hundred_thousand_requests(rules, expected):
    routes = virtual_host(edge_with(*rules)).routes
    numbers = random.Random(7)
    counted = Counter(chosen(routes, numbers.getrandbits(64)) for _ in range(100_000))
    found = {name.split("/")[1] if "/" in name else name: count / 1000 for name, count in counted.items()}
    assert found == pytest.approx(expected, abs=1)
