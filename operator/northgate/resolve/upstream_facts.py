"""What is known of an Upstream before any proxy is asked? Whether it is accepted, resolves, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from northgate.api.conditions import Condition, Problem, Reason, Status, Type
from northgate.resolve.endpoints import EndpointGroup
from northgate.resolve.facts import refs_condition, summary
from northgate.resolve.upstreams import ResolvedUpstream
from northgate.world.store import Entry


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """What is known of an Upstream. `endpoints` counts them; None where only proxies know: names to resolve."""

    generation: int
    conditions: tuple[Condition, ...]
    endpoints: int | None


def upstream_facts(
    entry: Entry, upstream: ResolvedUpstream | None, endpoints: tuple[EndpointGroup, ...]
) -> UpstreamFacts:
    """What is known of an Upstream with these endpoints of its Services."""
    problems = entry.latest.problems
    if upstream is None or (problems and not entry.fell_back):
        refused = Condition(Type.ACCEPTED, Status.FALSE, Reason.INVALID, summary(problems))
        return UpstreamFacts(entry.latest.generation, (refused,), 0)
    accepted = Condition(Type.ACCEPTED, Status.TRUE, Reason.ACCEPTED)
    refs = refs_condition(told_problems(upstream))
    conditions = (accepted, refs, *_fallen_back(entry))
    return UpstreamFacts(entry.latest.generation, conditions, _total(upstream, endpoints))


def _fallen_back(entry: Entry) -> Iterator[Condition]:
    if entry.fell_back and entry.serving is not None:
        message = f"Fall Back to generation {entry.serving.generation}: {summary(entry.latest.problems)}"
        yield Condition(Type.PARTIALLY_INVALID, Status.TRUE, Reason.UNSUPPORTED_VALUE, message)


def told_problems(upstream: ResolvedUpstream) -> tuple[Problem, ...]:
    """The problems in its references. The one that stops everything comes first and says so."""
    fatal = upstream.unusable
    if fatal is None:
        return upstream.problems
    told = Problem(fatal.path, fatal.reason, f"{fatal.message}; rules that need this Upstream answer 500")
    return (told, *(one for one in upstream.problems if one != fatal))


def _total(upstream: ResolvedUpstream, endpoints: tuple[EndpointGroup, ...]) -> int | None:
    if upstream.spec.dns is not None:
        return None
    if upstream.spec.static is not None:
        return len(upstream.spec.static)
    return sum(len(group.addresses) for group in endpoints)
