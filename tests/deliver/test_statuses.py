"""Statuses over time: generations, transition times, and what is looked at again when something moves."""

from __future__ import annotations

from typing import Any

from tests.core.objects import gateway, put, route, service, to

from northgate.deliver.statuses import Statuses
from northgate.deliver.verdict import Fleet, Proxy
from northgate.snapshot.edge import Edge
from northgate.world.key import ObjectKey

EDGE = ("default", "edge")
NOON = 1_700_000_000.0


def key(kind: str, name: str) -> ObjectKey:
    return ObjectKey("northgate.dev", kind, "default", name)


def fleet(synced: int, *, connected: bool = True) -> dict[tuple[str, str], Fleet]:
    return {EDGE: Fleet((Proxy("p", connected=connected, synced=synced),))}


def conditions(status: Any) -> dict[str, str]:
    return {c["type"]: f"{c['status']} {c['reason']}" for c in status["conditions"]}


class Watched:
    def __init__(self) -> None:
        self.edge = Edge()
        self.edge.apply([gateway(), service("web"), route("r", to("web")), route("s", to("web", "/s"))])
        self.statuses = Statuses(self.edge.compiler)

    def at(self, seconds: float, synced: int, revision: int) -> set[str]:
        changed = self.statuses.refresh(fleet(synced), {EDGE: revision}, NOON + seconds)
        return {f"{one.kind} {one.name}" for one in changed}

    def of(self, kind: str, name: str) -> Any:
        return self.statuses.documents()[key(kind, name)]


def test_confirmation_makes_ready_and_the_time_moves_with_the_status_only() -> None:
    watched = Watched()
    watched.at(0, synced=0, revision=1)
    assert conditions(watched.of("Route", "r"))["Ready"] == "Unknown Pending"
    watched.at(5, synced=1, revision=1)
    status = watched.of("Route", "r")
    assert conditions(status) == {"Programmed": "True Programmed", "Ready": "True Ready"}
    times = {c["type"]: c["lastTransitionTime"] for c in status["parents"][0]["conditions"]}
    assert times == {
        "Accepted": "2023-11-14T22:13:20Z",
        "ResolvedRefs": "2023-11-14T22:13:20Z",
        "Programmed": "2023-11-14T22:13:25Z",
    }


def test_a_change_waits_for_its_own_revision_and_others_stay_in_force() -> None:
    watched = Watched()
    watched.at(0, synced=1, revision=1)
    key_, document = route("r", to("web", "/new"))
    document["metadata"]["generation"] = 4
    watched.edge.apply([(key_, document)])
    assert watched.at(1, synced=1, revision=2) == {"Route r"}
    assert watched.of("Route", "r")["observedGeneration"] == 4
    assert conditions(watched.of("Route", "r"))["Ready"] == "Unknown Pending"
    assert conditions(watched.of("Route", "s"))["Ready"] == "True Ready"
    watched.at(2, synced=2, revision=2)
    assert conditions(watched.of("Route", "r"))["Ready"] == "True Ready"


def test_when_nothing_moves_nothing_is_looked_at() -> None:
    watched = Watched()
    watched.at(0, synced=1, revision=1)
    assert watched.at(500, synced=1, revision=1) == set()


def test_time_alone_turns_waiting_into_stalled() -> None:
    watched = Watched()
    watched.edge.apply([route("r", to("nowhere"))])
    watched.at(0, synced=1, revision=1)
    assert "Reconciling" in conditions(watched.of("Route", "r"))
    assert watched.at(61, synced=1, revision=1) == {"Route r"}
    assert conditions(watched.of("Route", "r"))["Stalled"] == "True BackendNotFound"


def test_a_lost_proxy_is_told_on_every_object_of_its_gateway() -> None:
    watched = Watched()
    watched.at(0, synced=1, revision=1)
    changed = watched.statuses.refresh(fleet(1, connected=False), {EDGE: 1}, NOON + 1)
    assert {one.name for one in changed} == {"edge", "r", "s"}
    assert conditions(watched.of("EdgeGateway", "edge"))["Programmed"] == "False NoProxiesConnected"


def test_a_deleted_object_has_no_status() -> None:
    watched = Watched()
    watched.at(0, synced=1, revision=1)
    watched.edge.apply([], [key("Route", "r")])
    assert watched.at(1, synced=1, revision=1) >= {"Route r"}
    assert key("Route", "r") not in watched.statuses.documents()


def test_a_gateway_counts_its_routes_and_proxies_but_not_their_mistakes() -> None:
    watched = Watched()
    watched.edge.apply([put("Route", "bad", {"rules": 1})])
    watched.at(0, synced=1, revision=1)
    status = watched.of("EdgeGateway", "edge")
    assert conditions(status)["Ready"] == "True Ready"
    assert status["listeners"][0]["attachedRoutes"] == 2
    assert status["proxies"] == {"connected": 1, "synced": 1, "rejected": 0, "summary": "1/1"}
