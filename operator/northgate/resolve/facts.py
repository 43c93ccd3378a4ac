"""What is known of an object before any proxy is asked? Conditions about acceptance, references and conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from northgate.api.conditions import Condition, Problem, Reason, Status, Type, dotted
from northgate.api.refs import ParentRef
from northgate.resolve.attachment import Parent, Place
from northgate.resolve.backends import RouteBackends
from northgate.resolve.gateways import ResolvedGateway
from northgate.resolve.precedence import Clash
from northgate.world.store import Entry, Name

_LONGEST = 512

Lost = tuple[Place, Clash]
"""A match of a Route that another one takes, and where."""


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """What became of one parent reference. `gateway` is None when it names no gateway that exists."""

    ref: ParentRef | None
    gateway: Name | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """Rules of a Route: all, those answered 500 because no proxy would take them, those of an older version."""

    total: int = 0
    dropped: int = 0
    last_good: int = 0


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What is known of a Route, per parent."""

    generation: int
    parents: tuple[ParentFacts, ...]
    rules: RuleCounts


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What is known of a listener."""

    name: str
    attached: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What is known of a gateway. `attached` counts its Routes, each once on however many listeners."""

    generation: int
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerFacts, ...]
    attached: int = 0


def route_facts(
    entry: Entry, parents: tuple[Parent, ...] | None, backends: RouteBackends | None, lost: tuple[Lost, ...]
) -> RouteFacts:
    """What is known of a Route, which lost these matches on all its parents."""
    if parents is None or backends is None:
        unreadable = Condition(Type.ACCEPTED, Status.FALSE, Reason.INVALID, summary(entry.latest.problems))
        return RouteFacts(entry.latest.generation, (ParentFacts(None, None, (unreadable,)),), RuleCounts())
    refs = entry.spec.parent_refs
    return RouteFacts(
        entry.latest.generation,
        tuple(
            ParentFacts(ref, parent.gateway, tuple(_parent_conditions(entry, parent, backends, lost)))
            for ref, parent in zip(refs, parents, strict=True)
        ),
        _rules(entry),
    )


def _parent_conditions(
    entry: Entry, parent: Parent, backends: RouteBackends, lost: tuple[Lost, ...]
) -> Iterable[Condition]:
    yield parent.accepted
    yield refs_condition(backends.problems)
    invalid = (*entry.latest.problems, *parent.problems) if parent.attachments else entry.latest.problems
    if invalid:
        yield Condition(Type.PARTIALLY_INVALID, Status.TRUE, Reason.UNSUPPORTED_VALUE, _what_serves(entry, invalid))
    places = {Place(one.table, host) for one in parent.attachments for host in one.hosts}
    if here := [one for one in lost if one[0] in places]:
        yield Condition(Type.CONFLICTED, Status.TRUE, Reason.ROUTE_RULES_OVERLAP, _clash(here))


def refs_condition(problems: tuple[Problem, ...]) -> Condition:
    """`ResolvedRefs` of an object with these problems in its references."""
    if not problems:
        return Condition(Type.RESOLVED_REFS, Status.TRUE, Reason.RESOLVED_REFS)
    return Condition(Type.RESOLVED_REFS, Status.FALSE, problems[0].reason, summary(problems))


def _what_serves(entry: Entry, problems: tuple[Problem, ...], dropped: str = "Dropped Rule, answered 500") -> str:
    if entry.fell_back and entry.serving is not None:
        return f"Fall Back to generation {entry.serving.generation}: {summary(problems)}"
    return f"{dropped}: {summary(problems)}"


def _rules(entry: Entry) -> RuleCounts:
    total = len(entry.spec.rules)
    if entry.fell_back:
        return RuleCounts(total, 0, total)
    dropped = {p.path[2] for p in entry.latest.problems if p.path[:2] == ("spec", "rules")}
    return RuleCounts(total, len(dropped), 0)


def _clash(lost: Sequence[Lost]) -> str:
    place, first = lost[0]
    where = dotted(("spec", "rules", first.rule, "matches", first.match))
    # Another tenant's names are not this tenant's to read.
    known = first.winner[0] == first.loser[0]
    winner = f"Route {'/'.join(first.winner)}" if known else "an older Route of another namespace"
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    at = f"host {place.host}, port {place.table.port}"
    return f"{where} is never reached on {at}{more}: {winner} has an equal match there; make one more specific"


def gateway_facts(
    entry: Entry, gateway: ResolvedGateway | None, attached: int, by_listener: Mapping[str, int]
) -> GatewayFacts:
    """What is known of a gateway with so many Routes attached, in all and by listener."""
    if gateway is None:
        unreadable = Condition(Type.ACCEPTED, Status.FALSE, Reason.INVALID, summary(entry.latest.problems))
        return GatewayFacts(entry.latest.generation, (unreadable,), ())
    listeners = tuple(
        ListenerFacts(one.name, by_listener.get(one.name, 0), one.conditions) for one in gateway.listeners
    )
    return GatewayFacts(entry.latest.generation, tuple(_gateway_conditions(entry, gateway)), listeners, attached)


def _gateway_conditions(entry: Entry, gateway: ResolvedGateway) -> Iterable[Condition]:
    if refused := _of_listeners(gateway, Type.ACCEPTED):
        yield Condition(Type.ACCEPTED, Status.TRUE, Reason.LISTENERS_NOT_VALID, summary(refused))
    else:
        yield Condition(Type.ACCEPTED, Status.TRUE, Reason.ACCEPTED)
    if unresolved := _of_listeners(gateway, Type.RESOLVED_REFS):
        yield Condition(Type.RESOLVED_REFS, Status.FALSE, Reason.LISTENERS_NOT_RESOLVED, summary(unresolved))
    else:
        yield Condition(Type.RESOLVED_REFS, Status.TRUE, Reason.RESOLVED_REFS)
    if entry.latest.problems:
        message = _what_serves(entry, entry.latest.problems, "Dropped, as if it were absent")
        yield Condition(Type.PARTIALLY_INVALID, Status.TRUE, Reason.UNSUPPORTED_VALUE, message)


def _of_listeners(gateway: ResolvedGateway, kind: Type) -> tuple[Problem, ...]:
    """What is false of the listeners in conditions of one type."""
    return tuple(
        Problem(("spec", "listeners", index), one.reason, one.message)
        for index, listener in enumerate(gateway.listeners)
        for one in listener.conditions
        if one.type is kind and one.status is Status.FALSE
    )


def summary(problems: tuple[Problem, ...]) -> str:
    """Problems as one message: the first ones in full, the rest counted."""
    text = ""
    for number, problem in enumerate(problems):
        following = f"{text}; {problem}" if text else str(problem)
        if len(following) > _LONGEST and text:
            return f"{text}; and {len(problems) - number} more"
        text = following
    return text
