"""What does every object say about itself now? Conditions with their times, renewed where something moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from northgate.api.conditions import Condition, Reason, Status, Type
from northgate.api.parse import GROUP
from northgate.deliver.certificates import certificates_condition, next_change
from northgate.deliver.verdict import Fleet, programmed, summary, worst
from northgate.resolve.facts import GatewayFacts, ParentFacts, RouteFacts
from northgate.snapshot.compiler import Compiler
from northgate.world.key import ObjectKey
from northgate.world.store import Name

Document = dict[str, Any]
"""A `status` block as users read it: JSON values, camelCase."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """How an object stands: the revision its newest version came with, since when, and since when it is not ready."""

    revisions: Mapping[Name, int]
    since: float
    unready_since: float | None = None


class Statuses:
    """The status of every EdgeGateway, Route and Upstream. Times are seconds since the epoch, given by the caller."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._standing: dict[ObjectKey, _Standing] = {}
        self._documents: dict[ObjectKey, Document] = {}
        self._fleets: dict[Name, Fleet] = {}
        self._unsettled: set[ObjectKey] = set()
        self._due: dict[ObjectKey, float] = {}
        compiler.lifetimes.observe()
        for stage in (compiler.route_facts, compiler.gateway_facts, compiler.upstream_facts):
            stage.observe()

    def documents(self) -> Mapping[ObjectKey, Document]:
        """Every object's status as of the last `refresh`."""
        return self._documents

    def refresh(self, fleets: Mapping[Name, Fleet], revisions: Mapping[Name, int], now: float) -> tuple[ObjectKey, ...]:
        """Take in what moved since the last time and say whose status changed.

        `revisions` are the newest revisions published to each gateway's proxies; an object seen for the first time in
        this version counts as in force from them on.
        """
        moved = {gateway for gateway in {*fleets, *self._fleets} if fleets.get(gateway) != self._fleets.get(gateway)}
        self._fleets = dict(fleets)
        edited = tuple(self._edited())
        for key in edited:
            self._standing[key] = _Standing(dict(revisions), now)
        affected = {*edited, *self._unsettled, *self._on(moved), *self._of_certificates(now)}
        return tuple(key for key in sorted(affected) if self._renew(key, now))

    def _edited(self) -> Iterator[ObjectKey]:
        compiler = self._compiler
        for kind, stage in (
            ("EdgeGateway", compiler.gateway_facts),
            ("Route", compiler.route_facts),
            ("Upstream", compiler.upstream_facts),
        ):
            yield from (ObjectKey(GROUP, kind, *name) for name in stage.take_changes())

    def _on(self, gateways: Iterable[Name]) -> Iterator[ObjectKey]:
        for gateway in gateways:
            yield ObjectKey(GROUP, "EdgeGateway", *gateway)
            yield from (ObjectKey(GROUP, "Route", *name) for name in self._compiler.routes_of(gateway))

    def _of_certificates(self, now: float) -> Iterator[ObjectKey]:
        """Gateways with other certificates than before, and those for whose certificates a time has come."""
        for name in self._compiler.lifetimes.take_changes():
            yield ObjectKey(GROUP, "EdgeGateway", *name)
        yield from [key for key, due in self._due.items() if due <= now]

    def _certificates(self, key: ObjectKey, now: float) -> Iterator[Condition]:
        lifetimes = self._compiler.lifetimes.get((key.namespace, key.name)) or ()
        self._due[key] = next_change(lifetimes, now)
        degraded = certificates_condition(lifetimes, now)
        if degraded is not None:
            yield degraded

    def _renew(self, key: ObjectKey, now: float) -> bool:
        found = self._document(key, now)
        if found is None:
            self._standing.pop(key, None)
            self._unsettled.discard(key)
            self._due.pop(key, None)
            return self._documents.pop(key, None) is not None
        old = self._documents.get(key)
        document = _with_times(found, old, now)
        self._documents[key] = document
        return document != old

    def _document(self, key: ObjectKey, now: float) -> Document | None:
        name = (key.namespace, key.name)
        match key.kind:
            case "Route":
                facts = self._compiler.route_facts.get(name)
                return None if facts is None else self._route(key, facts, now)
            case "EdgeGateway":
                gateway = self._compiler.gateway_facts.get(name)
                if gateway is None:
                    return None
                conditions = (*gateway.conditions, *self._certificates(key, now))
                return self._gateway(key, replace(gateway, conditions=conditions), now)
            case _:
                upstream = self._compiler.upstream_facts.get(name)
                if upstream is None:
                    return None
                status = self._status(key, upstream.generation, upstream.conditions, now)
                total = upstream.endpoints
                if total is not None:
                    status["endpoints"] = {"total": total, "healthy": total, "summary": f"{total}/{total}"}
                return status

    def _route(self, key: ObjectKey, facts: RouteFacts, now: float) -> Document:
        parents = [(parent, self._with_programmed(key, parent, now)) for parent in facts.parents]
        every = [condition for _, conditions in parents for condition in conditions]
        overall = worst([c for c in every if c.type is Type.PROGRAMMED])
        status = self._status(
            key, facts.generation, (*(c for c in every if c.type is not Type.PROGRAMMED), overall), now
        )
        kept = (Type.READY, Type.RECONCILING, Type.STALLED, Type.PROGRAMMED)
        status["conditions"] = [c for c in status["conditions"] if c["type"] in kept]
        status["parents"] = [
            {
                "parentRef": parent.ref.model_dump(mode="json", by_alias=True, exclude_none=True),
                "conditions": [_published(c, facts.generation) for c in conditions],
                "rules": {
                    "total": facts.rules.total,
                    "dropped": facts.rules.dropped,
                    "lastGood": facts.rules.last_good,
                },
            }
            for parent, conditions in parents
            if parent.ref is not None
        ]
        return status

    def _with_programmed(self, key: ObjectKey, parent: ParentFacts, now: float) -> tuple[Condition, ...]:
        accepted = next(c for c in parent.conditions if c.type is Type.ACCEPTED)
        if parent.gateway is None or accepted.status is not Status.TRUE:
            return *parent.conditions, Condition(Type.PROGRAMMED, Status.FALSE, Reason.INVALID, accepted.message)
        return *parent.conditions, self._programmed(key, parent.gateway, now)

    def _programmed(self, key: ObjectKey, gateway: Name, now: float) -> Condition:
        standing = self._standing[key]
        fleet = self._fleets.get(gateway, Fleet())
        return programmed(fleet, standing.revisions.get(gateway, 0), now - standing.since)

    def _gateway(self, key: ObjectKey, facts: GatewayFacts, now: float) -> Document:
        name = (key.namespace, key.name)
        fleet = self._fleets.get(name, Fleet())
        conditions = facts.conditions
        if facts.listeners:
            conditions = (*conditions, self._programmed(key, name, now))
        status = self._status(key, facts.generation, conditions, now)
        synced = sum(p.synced >= self._standing[key].revisions.get(name, 0) for p in fleet.connected)
        status["proxies"] = {
            "connected": len(fleet.connected),
            "synced": synced,
            "rejected": sum(bool(p.refusal) for p in fleet.connected),
            "summary": f"{synced}/{len(fleet.connected)}",
        }
        status["listeners"] = [
            {
                "name": one.name,
                "attachedRoutes": one.attached,
                "conditions": [_published(c, facts.generation) for c in one.conditions],
            }
            for one in facts.listeners
        ]
        status["attachedRoutes"] = facts.attached
        return status

    def _status(self, key: ObjectKey, generation: int, conditions: tuple[Condition, ...], now: float) -> Document:
        standing = self._standing[key]
        since = standing.unready_since
        overall = summary(conditions, now - since if since is not None else 0.0)
        ready = overall[0].status is Status.TRUE
        self._standing[key] = replace(standing, unready_since=None if ready else since if since is not None else now)
        settled = ready or any(c.type is Type.STALLED for c in overall)
        (self._unsettled.discard if settled else self._unsettled.add)(key)
        return {
            "observedGeneration": generation,
            "conditions": [_published(c, generation) for c in (*conditions, *overall)],
        }


def _published(condition: Condition, generation: int) -> Document:
    return {
        "type": str(condition.type),
        "status": str(condition.status),
        "reason": str(condition.reason),
        "message": condition.message,
        "observedGeneration": generation,
    }


def _with_times(document: Document, old: Document | None, now: float) -> Document:
    """The document with `lastTransitionTime` in every condition: it moves when the status does, and only then."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def timed(conditions: list[Document], before: Iterable[Document]) -> list[Document]:
        was = {c["type"]: c for c in before}
        return [
            {**c, "lastTransitionTime": was[c["type"]]["lastTransitionTime"]}
            if c["type"] in was and was[c["type"]]["status"] == c["status"]
            else {**c, "lastTransitionTime": stamp}
            for c in conditions
        ]

    def nested(name: str, identity: str) -> list[Document]:
        previous = {str(one[identity]): one["conditions"] for one in (old or {}).get(name, ())}
        return [
            {**one, "conditions": timed(one["conditions"], previous.get(str(one[identity]), ()))}
            for one in document[name]
        ]

    result = {**document, "conditions": timed(document["conditions"], (old or {}).get("conditions", ()))}
    for name, identity in (("parents", "parentRef"), ("listeners", "name")):
        if name in document:
            result[name] = nested(name, identity)
    return result
