"""Which gaps of a subscription the next response closes: the decisions of `deliver.order` for every open gap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from northgate.deliver import order
from northgate.deliver.events import Held
from northgate.deliver.order import Gates, Standing, Use, Verdict
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from northgate.xds import clusters
from northgate.xds.answer import Choice
from northgate.xds.cache import Group
from northgate.xds.catalog import Catalog
from northgate.xds.clusters import Warming
from northgate.xds.entry import Entry
from northgate.xds.request import Dialect
from northgate.xds.subscription import Gap, Subscription

_TOLD_CLUSTERS = 8


@dataclass(slots=True)
class Moment:
    """One look at one stream at one time. `wake` collects the times at which to look again."""

    group: Group
    subs: Mapping[str, Subscription]
    warming: Mapping[str, Warming]
    gates: Gates
    limit: int
    now: float
    wake: list[float] = field(default_factory=list)
    events: list[Held] = field(default_factory=list)

    def choose(self, sub: Subscription, catalog: Catalog) -> Choice:
        """What to send now. Delta removals go in a response of their own: a refused addition takes none along."""
        missing = self._missing(sub, catalog)
        removals = self._removals(sub, catalog, frozenset(missing))
        if removals and sub.dialect is Dialect.DELTA:
            return Choice(removals=removals, missing=missing)
        adds = _unriddled(sub, catalog, _in_parts(sub, self._adds(sub, catalog)))
        choice = Choice(adds if sub.complete else self._within_limit(adds, catalog), removals, missing)
        return Choice() if sub.complete and _would_delete_unseen(sub, choice) else choice

    def everything_may_go(self, sub: Subscription, catalog: Catalog) -> bool:
        """Whether a first answer needs no choice: nothing of it has to wait, and it fits into one response."""
        if sub.gaps or sub.rejected or (catalog.weight > self.limit and not sub.complete):
            return False
        if not order.waits_for_clusters(sub.type_url):
            return True
        if not clusters.standing(self.subs, self.warming, sub).settled:
            return False
        return not any(self._unpublished(entry) for entry in catalog.entries.values())

    def _unpublished(self, entry: Entry) -> frozenset[str]:
        published = self.group.catalog(CLUSTER)
        asker = self.subs.get(CLUSTER)
        if published is None or asker is None or not entry.depends:
            return frozenset()
        return published.lacking(entry.depends)

    def _adds(self, sub: Subscription, catalog: Catalog) -> tuple[str, ...]:
        wanted = [
            (name, gap, entry)
            for name, gap in sub.gaps.items()
            if (entry := _sendable(catalog, name, gap)) is not None and (name, entry.version) not in sub.rejected
        ]
        if not wanted or not order.waits_for_clusters(sub.type_url):
            return tuple(name for name, _, _ in wanted)
        standing = clusters.standing(self.subs, self.warming, sub)
        return tuple(name for name, gap, entry in wanted if self._may_switch(sub, gap, entry, standing))

    def _may_switch(self, sub: Subscription, gap: Gap, entry: Entry, standing: Standing) -> bool:
        depends = entry.depends or frozenset()
        missing = standing.missing(depends, self._unpublished(entry))
        changing = standing.is_changing(depends)
        if not missing and not changing:
            return True
        waited = self._waited(gap)
        verdict = order.may_switch(missing=bool(missing), changing=changing, waited=waited, gates=self.gates)
        if verdict is Verdict.WAIT:
            self.wake.append(self.now - waited + self.gates.ack)
        elif verdict is Verdict.HOLD and not gap.reported:
            gap.reported = True
            self.events.append(Held(sub.type_url, entry.name, tuple(sorted(missing)[:_TOLD_CLUSTERS])))
        return verdict is Verdict.GO

    def _waited(self, gap: Gap) -> float:
        if gap.waiting_since is None:
            gap.waiting_since = self.now
        return self.now - gap.waiting_since

    def _missing(self, sub: Subscription, catalog: Catalog) -> tuple[str, ...]:
        """Names asked for that do not exist. Names nobody waits for an answer about are forgotten."""
        nameless = [name for name, gap in sub.gaps.items() if _has_no_answer(sub, catalog, name, gap)]
        told = (sub.dialect is Dialect.DELTA or sub.type_url == ENDPOINT) and not sub.complete
        missing = tuple(name for name in nameless if told and sub.gaps[name].forced)
        for name in set(nameless).difference(missing):
            del sub.gaps[name]
        return missing

    def _removals(self, sub: Subscription, catalog: Catalog, missing: frozenset[str]) -> tuple[str, ...]:
        unsendable = [(name, gap) for name, gap in sub.gaps.items() if _sendable(catalog, name, gap) is None]
        gone = [(name, gap) for name, gap in unsendable if name not in missing]
        if not gone:
            return ()
        use = clusters.in_use(self.subs, sub.type_url)
        return tuple(name for name, gap in gone if self._may_remove(sub, name, gap, use))

    def _may_remove(self, sub: Subscription, name: str, gap: Gap, use: Use) -> bool:
        verdict = order.may_remove(sub.type_url, self._idle(sub, name, gap, use), self.gates)
        # A State-of-the-World response cannot take such a resource away; the proxy stops asking for it.
        mute = sub.dialect is Dialect.STATE and not sub.complete
        if verdict is Verdict.FORGET or (mute and verdict is Verdict.GO):
            del sub.gaps[name]
        elif verdict is Verdict.WAIT and gap.idle_since is not None:
            self.wake.append(gap.idle_since + self.gates.grace)
        return verdict is Verdict.GO and not mute

    def _idle(self, sub: Subscription, name: str, gap: Gap, use: Use) -> float | None:
        """Seconds since the last possible use of a resource that is to go; None while it may be in use."""
        busy = use.includes(name) or self._may_still_tell(sub, gap)
        if sub.type_url == ROUTE:
            busy = not clusters.settled(self.subs, LISTENER)
        if busy:
            gap.idle_since = None
            return None
        if gap.idle_since is None:
            gap.idle_since = self.now
        return self.now - gap.idle_since

    def _may_still_tell(self, sub: Subscription, gap: Gap) -> bool:
        """Whether a proxy that came back has not asked for listeners and routes yet, so what it uses is not known."""
        if sub.type_url != CLUSTER or not sub.returning or {LISTENER, ROUTE} <= self.subs.keys():
            return False
        waited = self._waited(gap)
        if self.gates.expired(waited):
            return False
        self.wake.append(self.now - waited + self.gates.ack)
        return True

    def _within_limit(self, adds: tuple[str, ...], catalog: Catalog) -> tuple[str, ...]:
        """As many as fit into one response, and at least one."""
        total = 0
        for index, name in enumerate(adds):
            total += entry.weight if (entry := catalog.latest(name)) else 0
            if total > self.limit and index:
                return adds[:index]
        return adds


def _sendable(catalog: Catalog, name: str, gap: Gap) -> Entry | None:
    return catalog.entries.get(name) or (catalog.retired(name) if gap.forced else None)


def _has_no_answer(sub: Subscription, catalog: Catalog, name: str, gap: Gap) -> bool:
    """Whether there is nothing to send of a name, and nothing to take away or no use in that."""
    if _sendable(catalog, name, gap) is not None:
        return False
    return gap.held is None or (gap.forced and sub.type_url == ENDPOINT)


def _in_parts(sub: Subscription, adds: tuple[str, ...]) -> tuple[str, ...]:
    """While culprits are being looked for: first what is not suspect, then one part of the suspects."""
    suspects = frozenset().union(*sub.apart)
    if innocent := tuple(name for name in adds if name not in suspects):
        return innocent
    parts = (tuple(name for name in adds if name in part) for part in sub.apart)
    return next(filter(None, parts), ())


def _unriddled(sub: Subscription, catalog: Catalog, adds: tuple[str, ...]) -> tuple[str, ...]:
    """Half of what was refused together before, or half of that."""
    while sub.riddles and frozenset((entry.name, entry.version) for entry in catalog.pick(adds)) in sub.riddles:
        adds = adds[: len(adds) // 2]
    return adds


def _would_delete_unseen(sub: Subscription, choice: Choice) -> bool:
    """Whether a whole set would lack something the proxy may hold but whose bytes are not at hand."""
    chosen: Iterable[str] = frozenset(choice.names)
    left = (gap for name, gap in sub.gaps.items() if name not in chosen)
    return any(gap.held is not None and gap.held.depends is None for gap in left)
