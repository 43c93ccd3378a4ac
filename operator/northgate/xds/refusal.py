"""What a NACK leaves behind: the gaps of the refused response are open again, and its culprits stay out.

A NACK is a partial apply, so what was refused may be held or not: good ones are sent again, apart from the culprits.
If the proxy names no culprit, the suspects are sent again in halves until each refused one stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from northgate.deliver.scrub import scrub
from northgate.xds.catalog import Catalog
from northgate.xds.entry import Entry
from northgate.xds.request import Dialect
from northgate.xds.subscription import Flight, Gap, Subscription

_REMEMBERED_DOUBTS = 8

Content = Mapping[str, tuple[Gap, Entry | None]]


@dataclass(frozen=True, slots=True)
class Told:
    """What may be told of a NACK: its culprits, if known, and its scrubbed text."""

    culprits: tuple[str, ...]
    message: str


def reopen(sub: Subscription, catalog: Catalog, flight: Flight, error: str) -> Told:
    """Undo a refused response in the books of its subscription."""
    content = _everything(sub, catalog) if flight.gaps is None else flight.gaps
    suspects = {name: entry.version for name, (_, entry) in content.items() if entry is not None}
    refusal = scrub(error, suspects)
    culprits = refusal.culprits or (tuple(suspects) if len(suspects) == 1 else ())
    sub.flight, sub.refused = None, flight.version
    if sub.complete and _unseen(sub, content):
        # Leaving a culprit out would delete the version of it the proxy may still run.
        sub.fresh = True
        sub.gaps.clear()
        return Told(culprits, refusal.message)
    for name, (gap, entry) in content.items():
        _reopen(sub, catalog, name, gap, entry)
        if entry is not None and name in sub.gaps and name not in culprits:
            sub.gaps[name].doubts = (*sub.gaps[name].doubts, entry)[-_REMEMBERED_DOUBTS:]
    for name in culprits:
        if name in sub.gaps and sub.gaps[name].needless(catalog.entries.get(name)):
            del sub.gaps[name]
    sub.reject((name, suspects[name]) for name in culprits)
    sub.acquit(culprits or suspects)
    if not culprits:
        sub.puzzle(suspects)
        _take_apart(sub, sorted(suspects))
    return Told(culprits, refusal.message)


def itemise(sub: Subscription, catalog: Catalog | None) -> None:
    """Note what a first answer in flight holds, before names are dropped and it cannot be told any more."""
    if sub.flight is not None and sub.flight.gaps is None and catalog is not None:
        sub.flight.gaps = dict(_everything(sub, catalog))


def _everything(sub: Subscription, catalog: Catalog) -> Content:
    """What a first answer held: the published state, less what changed since."""
    held = Entry.foreign("") if sub.returning else None
    names = {*catalog.entries, *sub.gaps} if sub.wildcard else sub.names
    sent = {name: sub.gaps[name].held if name in sub.gaps else catalog.entries.get(name) for name in names}
    return {name: (Gap(held, 0), entry) for name, entry in sent.items() if entry is not None}


def _unseen(sub: Subscription, content: Content) -> bool:
    return sub.returning and any(gap.held is not None and gap.held.depends is None for gap, _ in content.values())


def _reopen(sub: Subscription, catalog: Catalog, name: str, gap: Gap, entry: Entry | None) -> None:
    if not sub.covers(name) or (entry is None and (gap.held is None or sub.dialect is Dialect.DELTA)):
        return
    held = gap.held or (Entry.foreign(name, depends=entry.depends) if entry else None)
    now_open = sub.gaps.setdefault(name, Gap(held, gap.since))
    now_open.held, now_open.since = held, min(gap.since, now_open.since)
    now_open.doubts = gap.doubts
    now_open.lost = gap.lost or entry is None
    now_open.retiring = gap.retiring and name not in catalog.entries


def _take_apart(sub: Subscription, suspects: list[str]) -> None:
    middle = len(suspects) // 2
    sub.apart[:0] = [frozenset(part) for part in (suspects[:middle], suspects[middle:]) if part]
