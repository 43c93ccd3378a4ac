"""How the types of one stream depend on each other: which clusters stand, which resources may still be in use.

The facts are read from the subscriptions; what follows from them is decided in `deliver.order`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from northgate.deliver.order import Standing, Use
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from northgate.xds.catalog import Catalog
from northgate.xds.entry import Entry
from northgate.xds.subscription import Gap, Subscription

Subscriptions = Mapping[str, Subscription]


@dataclass(frozen=True, slots=True)
class Warming:
    """A cluster that was sent and whose endpoints are not ACKed since.

    `serial`: the response that carried it; `since`: the first revision it belongs to; `until`: when nobody waits for
    it any more.
    """

    serial: int
    since: int
    until: float


def standing(subs: Subscriptions, warming: Mapping[str, Warming], asker: Subscription) -> Standing:
    """How the clusters of a stream stand for a type that waits for them."""
    clusters = subs.get(CLUSTER)
    if clusters is None or not clusters.wanted:
        # gRPC clients ask for clusters after routes. An Envoy that returns, or that warms and so asks for endpoints
        # first, asks for them soon.
        comes_back = asker.returning or ENDPOINT in subs
        return Standing(asked=frozenset(), awaited=clusters is None and comes_back)
    asked = None if clusters.wildcard else clusters.names
    if clusters.everything_in_doubt:
        return Standing(asked=asked, unknown=True)
    unacked = [(name, gap) for name, (gap, entry) in _flying(clusters).items() if entry is not None]
    unacked += [(name, gap) for name, gap in clusters.gaps.items() if not gap.retiring]
    absent = {name for name, gap in unacked if not gap.certain}
    changing = {name for name, _ in unacked}.union(warming)
    return Standing(asked=asked, absent=absent, changing=changing - absent)


def _flying(sub: Subscription) -> Mapping[str, tuple[Gap, Entry | None]]:
    return (sub.flight.gaps or {}) if sub.flight else {}


def in_use(subs: Subscriptions, type_url: str) -> Use:
    """What the proxy may still use of a type, beyond what is published: clusters by routes, assignments by clusters."""
    users = {CLUSTER: (LISTENER, ROUTE), ENDPOINT: (CLUSTER,)}.get(type_url, ())
    involved = [subs[user] for user in users if user in subs and subs[user].wanted]
    if any(sub.everything_in_doubt for sub in involved):
        return Use(unknown=True)
    entries = [entry for sub in involved for entry in _maybe_held(sub)]
    if any(entry.depends is None for entry in entries):
        return Use(unknown=True)
    return Use(names=frozenset().union(*(entry.depends or () for entry in entries)))


def _maybe_held(sub: Subscription) -> Iterable[Entry]:
    """The entries a proxy may hold that are not, or not surely, the published ones."""
    for gap in sub.gaps.values():
        yield from (held for held in (gap.held, *gap.doubts) if held is not None)
    for gap, entry in _flying(sub).values():
        yield from (held for held in (gap.held, *gap.doubts, entry) if held is not None)


def settled(subs: Subscriptions, type_url: str) -> bool:
    """Whether the proxy has all it asks for of a type."""
    sub = subs.get(type_url)
    return sub is None or sub.idle


def endpoints_to_repeat(entries: Iterable[Entry], endpoints: Subscription | None) -> Iterable[str]:
    """The assignments to send again behind clusters that were sent: Envoy warms a changed cluster until they come."""
    if endpoints is None or endpoints.fresh:
        return ()
    return {name for entry in entries for name in entry.depends or () if endpoints.covers(name)}


def warmed(warming: Mapping[str, Warming], clusters: Catalog, acked: Iterable[str] | None, serial: int) -> set[str]:
    """The clusters whose endpoints a response answered; `acked` None means all of them."""
    names = warming if acked is None else {user for name in acked for user in clusters.users.get(name, ())}
    return {name for name in names if name in warming and warming[name].serial < serial}
