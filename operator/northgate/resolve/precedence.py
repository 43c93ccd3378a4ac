"""Which rule is asked first? The precedence of the matches of all Routes on one hostname, and what clashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from northgate.api.match import EVERYTHING, Match
from northgate.api.route import RouteSpec
from northgate.engine import Collection
from northgate.world.store import Name, World

_KINDS = {"Exact": 0, "PathPrefix": 1, "RegularExpression": 2}
_ANY_PATH = 3


class Ranked(NamedTuple):
    """A match of a rule with its rank; smaller comes first.

    The rank is: exact path, longest prefix, regular expression (longest first), any path; method; number of headers
    and cookies; number of query parameters; client addresses; a share of requests.
    """

    rank: tuple[int, ...]
    created: str
    route: Name
    rule: int
    match: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The matches of one Route in order. `sames` holds, in the same order, what must differ between two Routes."""

    matches: tuple[Ranked, ...]
    sames: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """A match that is never reached because an older Route has an equal one."""

    loser: Name
    rule: int
    match: int
    winner: Name


@dataclass(frozen=True, slots=True)
class HostTable:
    """The matches of all Routes on one hostname, in the order they are asked, and those that lost."""

    order: tuple[Ranked, ...]
    clashes: tuple[Clash, ...]


def rank_route(world: World, route: Name) -> Ranking | None:
    """Rank the matches of one Route."""
    entry = world.routes[route]
    spec: RouteSpec | None = entry.spec
    if spec is None or entry.serving is None:
        return None
    created = entry.serving.created
    pairs = [
        (Ranked(_rank(match), created, route, number, position), match)
        for number, rule in enumerate(spec.rules)
        for position, match in enumerate(rule.matches or (EVERYTHING,))
    ]
    pairs.sort(key=lambda pair: pair[0])
    return Ranking(tuple(ranked for ranked, _ in pairs), tuple(_same(match) for _, match in pairs))


def order_host(rankings: Collection[Name, Ranking], routes: tuple[Name, ...]) -> HostTable:
    """Merge the matches of the Routes on one hostname. Equal matches of different Routes clash; the first one wins."""
    if len(routes) == 1:
        return HostTable(rankings[routes[0]].matches, ())
    merged = sorted(
        ((ranked, same) for route in routes for ranked, same in _pairs(rankings[route])), key=lambda pair: pair[0]
    )
    first: dict[Any, Name] = {}
    order: list[Ranked] = []
    clashes: list[Clash] = []
    for ranked, same in merged:
        winner = ranked.route if same is None else first.setdefault(same, ranked.route)
        if winner == ranked.route:
            order.append(ranked)
        else:
            clashes.append(Clash(ranked.route, ranked.rule, ranked.match, winner))
    return HostTable(tuple(order), tuple(clashes))


def _pairs(ranking: Ranking) -> zip[tuple[Ranked, Any]]:
    return zip(ranking.matches, ranking.sames, strict=True)


def _rank(match: Match) -> tuple[int, ...]:
    kind, value = _path_of(match)
    return (
        _KINDS[kind] if value else _ANY_PATH,
        -len(value),
        match.method is None,
        -len(match.headers or ()) - len(match.cookies or ()),
        -len(match.query_params or ()),
        match.client_addresses is None,
        match.percent is None,
    )


def likeness(match: Match) -> Any:
    """What a match for the same requests would have too, in whatever spelling; its share of them is no part of it."""
    more = (
        frozenset((one.name.lower(), one.type or "Exact", one.value, bool(one.invert)) for one in match.headers or ()),
        frozenset((one.name, one.type or "Exact", one.value) for one in match.query_params or ()),
        frozenset((one.name, one.type or "Exact", one.value, bool(one.invert)) for one in match.cookies or ()),
        frozenset(match.client_addresses or ()),
    )
    # Most matches ask for no more than path and method, and four empty sets each are most of their memory.
    return (_path_of(match), match.method, more if any(more) else ())


def _path_of(match: Match) -> tuple[str, str]:
    if match.path is None:
        return ("PathPrefix", "")
    kind = match.path.type or "PathPrefix"
    return (kind, match.path.value.rstrip("/") if kind == "PathPrefix" else match.path.value)


def _same(match: Match) -> Any:
    """What an equal match of another Route would have too; None for a share of requests, which may follow another."""
    return likeness(match) if match.percent is None else None
