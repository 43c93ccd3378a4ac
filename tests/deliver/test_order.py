"""The decisions of make before break, one truth table each."""

from __future__ import annotations

import pytest

from northgate.deliver.order import Gates, Standing, Use, Verdict, may_remove, may_switch, rank
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

GATES = Gates(ack=15.0, grace=5.0)


@pytest.mark.parametrize(
    ("missing", "changing", "waited", "verdict"),
    [
        (False, False, 0.0, Verdict.GO),
        (False, True, 0.0, Verdict.WAIT),
        (False, True, 15.0, Verdict.GO),
        (True, False, 0.0, Verdict.WAIT),
        (True, False, 15.0, Verdict.HOLD),
        (True, True, 1000.0, Verdict.HOLD),
    ],
)
def test_a_route_waits_for_its_clusters(*, missing: bool, changing: bool, waited: float, verdict: Verdict) -> None:
    assert may_switch(missing=missing, changing=changing, waited=waited, gates=GATES) is verdict


@pytest.mark.parametrize(
    ("type_url", "idle", "verdict"),
    [
        (CLUSTER, None, Verdict.HOLD),
        (CLUSTER, 4.9, Verdict.WAIT),
        (CLUSTER, 5.0, Verdict.GO),
        (ENDPOINT, None, Verdict.HOLD),
        (ENDPOINT, 0.0, Verdict.GO),
        (ROUTE, None, Verdict.HOLD),
        (ROUTE, 0.0, Verdict.GO),
        (LISTENER, 0.0, Verdict.GO),
        (SECRET, 1000.0, Verdict.FORGET),
    ],
)
def test_removals_wait_for_the_last_use(type_url: str, idle: float | None, verdict: Verdict) -> None:
    assert may_remove(type_url, idle, GATES) is verdict


def test_additions_have_an_order() -> None:
    types = ["zzz", SECRET, ROUTE, LISTENER, ENDPOINT, CLUSTER]
    assert sorted(types, key=rank) == [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, "zzz"]


def test_only_clusters_that_are_asked_for_hold_anything_up() -> None:
    depends = frozenset({"a", "b"})
    assert Standing(unknown=True).missing(depends, frozenset()) == depends
    assert Standing(absent={"a"}).missing(depends, frozenset({"b"})) == depends
    assert Standing(asked=frozenset({"a"}), absent={"a", "b"}).missing(depends, frozenset()) == {"a"}
    assert not Standing().missing(depends, frozenset())
    assert Standing().settled
    assert not Standing(changing={"c"}).settled
    assert not Standing(changing={"c"}).is_changing(depends)
    assert Standing(awaited=True).is_changing(depends)


def test_unknown_use_is_use_of_everything() -> None:
    assert Use(unknown=True).includes("a")
    assert Use(names={"a"}).includes("a")
    assert not Use(names={"a"}).includes("b")
