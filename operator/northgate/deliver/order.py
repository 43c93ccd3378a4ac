"""May this resource go to this proxy now? Make before break, gated by ACKs, never for ever.

Additions go clusters, endpoints (right behind, an Envoy withholds the ACK of a cluster until its endpoints are there),
listeners, routes. A route or listener waits for the clusters it uses and for nothing else. Removals go in reverse:
a cluster goes when no route or listener the proxy may still hold uses it, and a grace period for the requests in
flight has passed; its endpoints go after it. Times are seconds on any clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from northgate.snapshot.resource import CLUSTER, LISTENER, ROUTE, SECRET, TYPES

_EARLY = 0.001
"""A timer may fire that much before its time, and differences of times are not exact."""


@dataclass(frozen=True, slots=True)
class Gates:
    """`ack`: how long a change waits for ACKs that are not vital. `grace`: between the last use and the removal."""

    ack: float = 15.0
    grace: float = 5.0

    def expired(self, waited: float) -> bool:
        """Whether a change waited for ACKs long enough."""
        return waited >= self.ack - _EARLY

    def quiet(self, idle: float) -> bool:
        """Whether nothing used a resource for long enough to remove it."""
        return idle >= self.grace - _EARLY


class Verdict(Enum):
    """What to do with one change now."""

    GO = "go"
    WAIT = "wait"
    """Look again when the gate or the grace period ends."""
    HOLD = "hold"
    """Look again when the proxy says something; time changes nothing."""
    FORGET = "forget"
    """Not to be sent at all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the clusters of one stream stand.

    `asked`: the clusters it asks for, None for all; others cannot hold anything up. `absent`: it may lack them, for no
    version of them was ever ACKed. `changing`: it has them, but a newer version or their endpoints are under way.
    `unknown`: nothing was ACKed yet, so every cluster may be absent. `awaited`: it did not ask for clusters yet, but
    had some before it reconnected.
    """

    asked: AbstractSet[str] | None = None
    unknown: bool = False
    awaited: bool = False
    absent: AbstractSet[str] = frozenset()
    changing: AbstractSet[str] = frozenset()

    @property
    def settled(self) -> bool:
        """Whether no published cluster can hold anything up."""
        return not (self.unknown or self.awaited or self.absent or self.changing)

    def missing(self, depends: frozenset[str], unpublished: frozenset[str]) -> AbstractSet[str]:
        """The clusters of a route or listener the proxy may not have; `unpublished` are those nobody published."""
        missing = depends if self.unknown else unpublished | (depends & self.absent)
        return missing if self.asked is None else missing & self.asked

    def is_changing(self, depends: frozenset[str]) -> bool:
        """Whether some of the clusters of a route or listener are under way."""
        return self.awaited or not depends.isdisjoint(self.changing)


@dataclass(frozen=True, slots=True)
class Use:
    """What may still use a resource that is to go: everything (`unknown`), or certain names."""

    unknown: bool = False
    names: AbstractSet[str] = frozenset()

    def includes(self, name: str) -> bool:
        """Whether the name may still be in use."""
        return self.unknown or name in self.names


def rank(type_url: str) -> tuple[int, str]:
    """The place of a type in the order of additions; types that are not ours come last."""
    return (TYPES.index(type_url) if type_url in TYPES else len(TYPES), type_url)


def waits_for_clusters(type_url: str) -> bool:
    """Whether resources of a type depend on clusters."""
    return type_url in (LISTENER, ROUTE)


def may_switch(*, missing: bool, changing: bool, waited: float, gates: Gates) -> Verdict:
    """Whether a route or listener may go: never before its clusters, and not for ever after their changes."""
    if (missing or changing) and not gates.expired(waited):
        return Verdict.WAIT
    return Verdict.HOLD if missing else Verdict.GO


def may_remove(type_url: str, idle: float | None, gates: Gates) -> Verdict:
    """Whether a resource may go. `idle`: seconds since its last possible use, None while it may be in use."""
    if type_url == SECRET:
        # A proxy that still asks for a secret still uses it: Envoy #32823.
        return Verdict.FORGET
    if idle is None:
        return Verdict.HOLD
    return Verdict.GO if type_url != CLUSTER or gates.quiet(idle) else Verdict.WAIT
