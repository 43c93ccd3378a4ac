from __future__ import annotations

from typing import Any

import pytest

from northgate.kube.kinds import KINDS
from northgate.kube.reading import Seen
from northgate.kube.shelf import Document, Listing, Shelf
from northgate.world.key import ObjectKey

ROUTES = next(kind for kind in KINDS if kind.name == "Route")
SERVICES = next(kind for kind in KINDS if kind.name == "Service")
SECRETS = next(kind for kind in KINDS if kind.name == "Secret")


def seen(name: str, version: int, *, kind: str = "Route", **content: Any) -> Seen:
    metadata = {"name": name, "namespace": "demo", "resourceVersion": str(version), **content.pop("metadata", {})}
    return Seen(ObjectKey("g", kind, "demo", name), str(version), lambda: {"metadata": metadata, **content})


def listing(version: int, *all_seen: Seen) -> Listing:
    return Listing(str(version), {one.key: one.version for one in all_seen}, {one.key: one for one in all_seen})


class Told:
    def __init__(self, kind: Any = ROUTES, wanted: Any = lambda _: True) -> None:
        self.news: list[tuple[str, Document | None]] = []
        self.shelf = Shelf(kind, lambda key, document: self.news.append((key.name, document)), wanted)

    def names(self) -> list[str]:
        """What was told since the last time: names, with a minus when gone."""
        news, self.news = self.news, []
        return [name if document is not None else f"-{name}" for name, document in news]


def test_an_event_that_says_what_is_known_costs_nothing() -> None:
    told = Told()
    told.shelf.replace(listing(10, seen("a", 5)))
    assert told.names() == ["a"]

    def never() -> dict[str, Any]:
        raise AssertionError("loaded")

    told.shelf.event(Seen(seen("a", 5).key, "5", never), gone=False)
    told.shelf.event(Seen(seen("a", 9).key, "9", never), gone=False)
    assert told.names() == []


@pytest.mark.parametrize("late", [4, 10])
def test_late_events_bring_nothing_back(late: int) -> None:
    told = Told()
    told.shelf.replace(listing(10, seen("a", 5)))
    told.shelf.replace(listing(20))
    assert told.names() == ["a", "-a"]
    told.shelf.event(seen("a", late), gone=False)
    assert told.names() == []
    told.shelf.event(seen("a", 21), gone=False)
    assert told.names() == ["a"]


def test_a_late_removal_takes_nothing_newer_away() -> None:
    told = Told()
    told.shelf.replace(listing(20, seen("a", 15)))
    told.shelf.event(seen("a", 12), gone=True)
    told.shelf.event(seen("a", 22, spec={}), gone=False)
    told.shelf.event(seen("a", 21), gone=True)
    assert told.names() == ["a", "a"]
    told.shelf.event(seen("a", 22), gone=True)
    assert told.names() == ["-a"]


def test_a_list_does_not_undo_what_happened_while_it_was_read() -> None:
    told = Told()
    told.shelf.replace(listing(10, seen("a", 1), seen("b", 2)))
    told.names()
    told.shelf.begin()
    told.shelf.event(seen("a", 13), gone=True)
    told.shelf.event(seen("c", 14), gone=False)
    told.shelf.replace(listing(12, seen("a", 1), seen("b", 2)))
    assert told.names() == ["-a", "c"]


def test_a_list_is_believed_over_what_happened_before_it_was_made() -> None:
    told = Told()
    told.shelf.begin()
    told.shelf.event(seen("a", 5, spec={"old": True}), gone=False)
    told.shelf.replace(listing(12, seen("a", 9, spec={"new": True})))
    assert [document["spec"] for _, document in told.news if document] == [{"old": True}, {"new": True}]


def test_history_that_goes_back_is_believed_when_listed() -> None:
    told = Told()
    told.shelf.replace(listing(1000, seen("a", 900)))
    told.shelf.begin()
    told.shelf.replace(listing(20, seen("b", 15)))
    told.shelf.event(seen("c", 21), gone=False)
    assert told.names() == ["a", "-a", "b", "c"]


def test_changes_nobody_looks_at_are_not_told() -> None:
    told = Told()
    told.shelf.event(seen("a", 1, spec={"x": 1}, metadata={"annotations": {"mine": "1"}}), gone=False)
    told.names()
    told.shelf.event(seen("a", 2, spec={"x": 1}, status={"y": 1}, metadata={"annotations": {"mine": "1"}}), gone=False)
    metadata = {"annotations": {"mine": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}
    told.shelf.event(seen("a", 3, spec={"x": 1}, metadata={**metadata, "managedFields": [{}]}), gone=False)
    assert told.names() == []
    told.shelf.event(seen("a", 4, spec={"x": 1}, metadata={"annotations": {"mine": "2"}}), gone=False)
    told.shelf.event(seen("a", 5, spec={"x": 2}, metadata={"annotations": {"mine": "2"}}), gone=False)
    assert told.names() == ["a", "a"]


def test_annotations_of_other_kinds_are_not_told() -> None:
    told = Told(SERVICES)
    told.shelf.event(seen("a", 1, kind="Service", metadata={"annotations": {"x": "1"}}), gone=False)
    told.shelf.event(seen("a", 2, kind="Service", metadata={"annotations": {"x": "2"}}), gone=False)
    assert [document["metadata"] for _, document in told.news if document] == [{"name": "a", "namespace": "demo"}]


def test_one_object_that_cannot_be_read_stops_only_itself() -> None:
    told = Told()
    bad = Seen(seen("bad", 2).key, "2", lambda: {"metadata": {}, "spec": {"x": object()}})
    told.shelf.replace(listing(5, seen("a", 1), bad, seen("b", 3)))
    assert told.names() == ["a", "b"]


def test_a_secret_nobody_refers_to_is_not_kept() -> None:
    wanted: set[str] = set()
    told = Told(SECRETS, lambda key: key.name in wanted)
    told.shelf.event(seen("a", 1, kind="Secret"), gone=False)
    assert told.names() == []
    assert told.shelf.recheck() == ()
    wanted.add("a")
    (missing,) = told.shelf.recheck()
    told.shelf.read(missing, seen("a", 1, kind="Secret"))
    assert told.names() == ["a"]
    wanted.clear()
    assert told.shelf.recheck() == ()
    assert told.names() == ["-a"]
    told.shelf.event(seen("a", 3, kind="Secret"), gone=True)
    assert told.names() == []
    assert len(told.shelf) == 0
