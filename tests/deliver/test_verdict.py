"""When is an object in force and ready: the table that people and GitOps tools rely on."""

from __future__ import annotations

import pytest

from northgate.api.conditions import Condition, Reason, Status, Type
from northgate.deliver.verdict import Fleet, Proxy, programmed, summary, worst

ACCEPTED = Condition(Type.ACCEPTED, Status.TRUE, Reason.ACCEPTED)
RESOLVED = Condition(Type.RESOLVED_REFS, Status.TRUE, Reason.RESOLVED_REFS)
ONE_BEHIND = Fleet((Proxy("a", connected=True, synced=7), Proxy("b", connected=True, synced=6)))


@pytest.mark.parametrize(
    ("fleet", "waited", "expected"),
    [
        (Fleet(), 0, (Status.FALSE, Reason.NO_PROXIES_CONNECTED)),
        (Fleet((Proxy("a", connected=False, synced=9),)), 0, (Status.FALSE, Reason.NO_PROXIES_CONNECTED)),
        (Fleet((Proxy("a", connected=True, synced=7),)), 0, (Status.TRUE, Reason.PROGRAMMED)),
        (Fleet((Proxy("a", connected=True, synced=9),)), 900, (Status.TRUE, Reason.PROGRAMMED)),
        (ONE_BEHIND, 59, (Status.UNKNOWN, Reason.PENDING)),
        (ONE_BEHIND, 61, (Status.FALSE, Reason.PARTIALLY_PROGRAMMED)),
        (Fleet((Proxy("a", connected=True, synced=6, refusal="bad"),)), 0, (Status.FALSE, Reason.REJECTED_BY_PROXY)),
        (Fleet((Proxy("a", connected=True, synced=7, refusal="bad"),)), 0, (Status.TRUE, Reason.PROGRAMMED)),
    ],
    ids=["none", "left", "confirmed", "confirmed-long-ago", "waiting", "late", "refused", "refused-something-else"],
)
def test_programmed(fleet: Fleet, waited: float, expected: tuple[Status, Reason]) -> None:
    found = programmed(fleet, 7, waited)
    assert (found.status, found.reason) == expected
    assert found.message


def test_programmed_names_who_refuses_and_why() -> None:
    fleet = Fleet((Proxy("edge-1", connected=True, synced=6, refusal="missing ]"),))
    assert programmed(fleet, 7, 0).message == "edge-1 refuses it: missing ]"


IN_FORCE = Condition(Type.PROGRAMMED, Status.TRUE, Reason.PROGRAMMED)
PENDING = Condition(Type.PROGRAMMED, Status.UNKNOWN, Reason.PENDING)
LATE = Condition(Type.PROGRAMMED, Status.FALSE, Reason.PARTIALLY_PROGRAMMED)
REFUSED = Condition(Type.PROGRAMMED, Status.FALSE, Reason.REJECTED_BY_PROXY)
ALONE = Condition(Type.PROGRAMMED, Status.FALSE, Reason.NO_PROXIES_CONNECTED)
MISSING = Condition(Type.RESOLVED_REFS, Status.FALSE, Reason.BACKEND_NOT_FOUND)
PARTIAL = Condition(Type.PARTIALLY_INVALID, Status.TRUE, Reason.UNSUPPORTED_VALUE)
CLASH = Condition(Type.CONFLICTED, Status.TRUE, Reason.ROUTE_RULES_OVERLAP)
ORPHAN = Condition(Type.ACCEPTED, Status.FALSE, Reason.NO_MATCHING_PARENT)
HALF = Condition(Type.ACCEPTED, Status.TRUE, Reason.LISTENERS_NOT_VALID)
UNREADABLE = Condition(Type.ACCEPTED, Status.FALSE, Reason.INVALID)


@pytest.mark.parametrize(
    ("conditions", "unready_for", "ready", "also"),
    [
        ((ACCEPTED, RESOLVED, IN_FORCE), 0, "True Ready", None),
        ((ACCEPTED, RESOLVED, PENDING), 9999, "Unknown Pending", "Reconciling WaitingForAck"),
        ((ACCEPTED, RESOLVED, LATE), 299, "False PartiallyProgrammed", "Reconciling WaitingForAck"),
        ((ACCEPTED, RESOLVED, LATE), 301, "False PartiallyProgrammed", "Stalled PartiallyProgrammed"),
        ((ACCEPTED, RESOLVED, REFUSED), 0, "False RejectedByProxy", "Stalled RejectedByProxy"),
        ((ACCEPTED, MISSING, IN_FORCE), 59, "False BackendNotFound", "Reconciling WaitingForReference"),
        ((ACCEPTED, MISSING, IN_FORCE), 61, "False BackendNotFound", "Stalled BackendNotFound"),
        ((ACCEPTED, RESOLVED, PARTIAL, IN_FORCE), 0, "False UnsupportedValue", "Stalled UnsupportedValue"),
        ((ACCEPTED, RESOLVED, CLASH, IN_FORCE), 0, "False RouteRulesOverlap", "Stalled RouteRulesOverlap"),
        ((HALF, RESOLVED, IN_FORCE), 0, "False ListenersNotValid", "Stalled ListenersNotValid"),
        ((ORPHAN,), 59, "False NoMatchingParent", "Reconciling WaitingForReference"),
        ((ORPHAN,), 61, "False NoMatchingParent", "Stalled NoMatchingParent"),
        ((UNREADABLE,), 0, "False Invalid", "Stalled Invalid"),
        ((ACCEPTED, RESOLVED, ALONE), 299, "False NoProxiesConnected", "Reconciling WaitingForAck"),
        ((ACCEPTED, RESOLVED, ALONE), 301, "False NoProxiesConnected", "Stalled NoProxiesConnected"),
        ((ACCEPTED, MISSING, REFUSED), 0, "False RejectedByProxy", "Stalled RejectedByProxy"),
    ],
)
def test_summary(conditions: tuple[Condition, ...], unready_for: float, ready: str, also: str | None) -> None:
    found = summary(conditions, unready_for)
    assert f"{found[0].status} {found[0].reason}" == ready
    assert [f"{one.type} {one.reason}" for one in found[1:]] == ([also] if also else [])


def test_the_worst_parent_decides() -> None:
    assert worst([IN_FORCE, PENDING]) is PENDING
    assert worst([PENDING, LATE, IN_FORCE]) is LATE
    assert worst([IN_FORCE]) is IN_FORCE
