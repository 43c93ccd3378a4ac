"""What GitOps tools see: in progress while it may heal, failed when it will not, healthy when it is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from tests.core.objects import Put, gateway, put, route, service, to
from tests.gitops.readers import GITOPS, argo, kstatus, script

from northgate.deliver.statuses import Statuses
from northgate.deliver.verdict import Fleet, Proxy
from northgate.snapshot.edge import Edge
from northgate.world.key import ObjectKey

EDGE = ("default", "edge")
NOON = 1_700_000_000.0
KINDS = ("EdgeGateway", "Route", "Upstream")

BAD_RULE = {"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "respond": {"status": 200}}
UPSTREAM = put("Upstream", "u", {"services": [{"name": "web", "port": 80}]})
LOST_UPSTREAM = put("Upstream", "u", {"services": [{"name": "nowhere", "port": 80}]})

ALL = Fleet((Proxy("a", connected=True, synced=1), Proxy("b", connected=True, synced=1)))
LATE = Fleet((Proxy("a", connected=True, synced=1), Proxy("b", connected=True, synced=0)))
REFUSED = Fleet((Proxy("a", connected=True, synced=0, refusal="missing ]"),))
NOBODY = Fleet()

GOOD = route("r", to("web"))
PARTLY = route("r", to("web"), BAD_RULE)
LOST_BACKEND = route("r", to("nowhere"))
LOST_PARENT = route("r", to("web"), parentRefs=[{"name": "unknown"}])


@dataclass(frozen=True)
class Seen:
    """Conditions that matter of an object, and what Flux and Argo CD make of it."""

    conditions: str
    flux: str
    argo: str


def status_of(subject: ObjectKey, fleet: Fleet, seconds: float, objects: list[Put]) -> dict[str, Any]:
    """The object with the status it has after so many seconds in a situation."""
    edge = Edge()
    found = dict([gateway(), service("web"), *objects])
    for document in found.values():
        document["metadata"]["generation"] = 1  # type: ignore[index]
    edge.apply(list(found.items()))
    statuses = Statuses(edge.compiler)
    for passed in sorted({0.0, seconds}):
        statuses.refresh({EDGE: fleet}, {EDGE: 1}, NOON + passed)
    return {**found[subject], "status": statuses.documents()[subject]}


def seen(document: dict[str, Any]) -> Seen:
    told = {one["type"]: f"{one['type']}={one['status']} {one['reason']}" for one in document["status"]["conditions"]}
    shown = ", ".join(told[kind] for kind in ("Programmed", "Reconciling", "Stalled") if kind in told)
    return Seen(shown, kstatus(document), argo(document)[0])


def key(kind: str, name: str) -> ObjectKey:
    return ObjectKey("northgate.dev", kind, "default", name)


WAITS = "Programmed=Unknown Pending, Reconciling=True WaitingForAck"
SERVED = "Programmed=True Programmed"
LATE_NOW = "Programmed=False PartiallyProgrammed, "
NO_PROXY = "Programmed=False NoProxiesConnected, "
FINAL = ("Failed", "Degraded")
HEALS = ("InProgress", "Progressing")
WELL = ("Current", "Healthy")
UNRESOLVED = f"{SERVED}, Reconciling=True WaitingForReference"


@pytest.mark.parametrize(
    ("objects", "fleet", "seconds", "conditions", "tools"),
    [
        ([GOOD], LATE, 1, WAITS, HEALS),
        ([GOOD], ALL, 1, SERVED, WELL),
        ([GOOD], LATE, 61, f"{LATE_NOW}Reconciling=True WaitingForAck", HEALS),
        ([GOOD], LATE, 301, f"{LATE_NOW}Stalled=True PartiallyProgrammed", FINAL),
        ([GOOD], REFUSED, 1, "Programmed=False RejectedByProxy, Stalled=True RejectedByProxy", FINAL),
        ([LOST_BACKEND], ALL, 1, UNRESOLVED, HEALS),
        ([LOST_BACKEND], ALL, 61, f"{SERVED}, Stalled=True BackendNotFound", FINAL),
        ([PARTLY], ALL, 1, f"{SERVED}, Stalled=True UnsupportedValue", FINAL),
        ([LOST_PARENT], ALL, 1, "Programmed=False Invalid, Reconciling=True WaitingForReference", HEALS),
        ([LOST_PARENT], ALL, 61, "Programmed=False Invalid, Stalled=True NoMatchingParent", FINAL),
        ([GOOD], NOBODY, 1, f"{NO_PROXY}Reconciling=True WaitingForAck", HEALS),
        ([GOOD], NOBODY, 301, f"{NO_PROXY}Stalled=True NoProxiesConnected", FINAL),
    ],
)
def test_a_route(objects: list[Put], fleet: Fleet, seconds: float, conditions: str, tools: tuple[str, str]) -> None:
    found = seen(status_of(key("Route", "r"), fleet, seconds, objects))
    assert found == Seen(conditions, *tools)


@pytest.mark.parametrize(
    ("fleet", "seconds", "conditions", "tools"),
    [
        (LATE, 1, WAITS, HEALS),
        (ALL, 1, SERVED, WELL),
        (LATE, 301, f"{LATE_NOW}Stalled=True PartiallyProgrammed", FINAL),
        (REFUSED, 1, "Programmed=False RejectedByProxy, Stalled=True RejectedByProxy", FINAL),
        (NOBODY, 1, f"{NO_PROXY}Reconciling=True WaitingForAck", HEALS),
        (NOBODY, 301, f"{NO_PROXY}Stalled=True NoProxiesConnected", FINAL),
    ],
)
def test_a_gateway(fleet: Fleet, seconds: float, conditions: str, tools: tuple[str, str]) -> None:
    found = seen(status_of(key("EdgeGateway", "edge"), fleet, seconds, [GOOD]))
    assert found == Seen(conditions, *tools)


def test_a_gateway_is_healthy_whatever_its_routes_are() -> None:
    found = seen(status_of(key("EdgeGateway", "edge"), ALL, 400, [PARTLY]))
    assert (found.flux, found.argo) == WELL


@pytest.mark.parametrize(
    ("upstream", "seconds", "tools"),
    [(UPSTREAM, 1, WELL), (LOST_UPSTREAM, 1, HEALS), (LOST_UPSTREAM, 61, FINAL)],
)
def test_an_upstream(upstream: Put, seconds: float, tools: tuple[str, str]) -> None:
    found = seen(status_of(key("Upstream", "u"), ALL, seconds, [upstream]))
    assert (found.flux, found.argo) == tools


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_just_created_edited_or_is_being_deleted_is_in_progress(kind: str) -> None:
    names = {"EdgeGateway": "edge", "Route": "r", "Upstream": "u"}
    created = {"kind": kind, "metadata": {"generation": 1}, "status": {"observedGeneration": -1}}
    assert (kstatus(created), argo(created)[0]) == HEALS
    served = status_of(key(kind, names[kind]), ALL, 1, [GOOD, UPSTREAM])
    edited = {**served, "metadata": {**served["metadata"], "generation": 2}}
    assert (kstatus(edited), argo(edited)[0]) == HEALS
    deleted = {**served, "metadata": {**served["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert (kstatus(deleted), argo(deleted)[0]) == ("Terminating", "Progressing")
    assert argo({"kind": kind, "metadata": {"generation": 1}})[0] == "Progressing"


def test_argo_shows_why() -> None:
    message = argo(status_of(key("Route", "r"), ALL, 61, [LOST_BACKEND]))[1]
    assert message.startswith("BackendNotFound: ")
    assert "nowhere" in message


def test_the_config_map_has_the_scripts_and_they_are_alike() -> None:
    document = yaml.safe_load((GITOPS / "argocd" / "argocd-cm.yaml").read_text())
    scripts = {kind: script(kind) for kind in KINDS}
    assert document["data"] == {
        f"resource.customizations.health.northgate.dev_{kind}": text for kind, text in scripts.items()
    }
    assert len(set(scripts.values())) == 1
