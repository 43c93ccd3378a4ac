"""What one stream wants of one type, and what it holds of it: the published state, except for the gaps listed here.

At rest a stream costs a cursor into the history and no more. Whatever differs between the published state and what
the proxy holds is a Gap; a response closes gaps, a change or a NACK opens them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from northgate.xds.catalog import Catalog, View, version_of
from northgate.xds.entry import Entry
from northgate.xds.history import Node
from northgate.xds.request import Dialect, Request

_REMEMBERED_CULPRITS = 1024
_REMEMBERED_RIDDLES = 32

NAMED_ONLY = (ENDPOINT, ROUTE, SECRET)
"""Types for which an empty list of names asks for nothing instead of everything."""

RETIRED_LAST = (CLUSTER, ENDPOINT, ROUTE)
"""Types whose removals wait until nothing uses them."""

COMPLETE = (CLUSTER, LISTENER)
"""Types whose State-of-the-World responses are the whole set: what is absent is deleted."""


@dataclass(slots=True)
class Gap:
    """One name for which the proxy is not where the published state is.

    `held`: what it holds (None: nothing we know of). `since`: the first revision it misses. `forced`: it is answered
    even if nothing differs. `waiting_since`, `idle_since`: when a gate closed, when the last possible use ended.
    `retiring`: something nobody is to use any more, which the proxy still holds. `doubts`: what came in responses it
    refused, any of which it may hold instead, so even going back to `held` has to be told. `lost`: a refused
    response lacked it, so it may be gone.
    """

    held: Entry | None
    since: int
    forced: bool = False
    waiting_since: float | None = None
    idle_since: float | None = None
    reported: bool = False
    retiring: bool = False
    doubts: tuple[Entry, ...] = ()
    lost: bool = False

    @property
    def certain(self) -> bool:
        """Whether the proxy surely has the name in some version."""
        return self.held is not None and self.held.certain and not self.lost

    def needless(self, current: Entry | None) -> bool:
        """Whether there is nothing to tell: the proxy surely holds what is published."""
        return not (self.forced or self.doubts or self.lost) and version_of(self.held) == version_of(current)


@dataclass(slots=True)
class Flight:
    """The one response that is not yet acknowledged. `gaps` is None if it held everything the proxy asks for."""

    nonce: str
    version: str
    serial: int
    gaps: dict[str, tuple[Gap, Entry | None]] | None

    def missing(self) -> list[int]:
        """The first revisions its content belongs to; 0 for a first or an empty answer."""
        if not self.gaps:
            return [0]
        return [gap.since for gap, _ in self.gaps.values() if not gap.retiring]


@dataclass(slots=True)
class Subscription:
    """One type on one stream."""

    type_url: str
    dialect: Dialect
    wildcard: bool = False
    names: frozenset[str] = frozenset()
    ever_named: bool = False
    returning: bool = False
    """The proxy came with content of an earlier stream."""
    fresh: bool = True
    """Nothing was sent yet: everything it asks for is due."""
    owed: bool = False
    """An answer is due even if it is empty."""
    claim: Request | None = None
    """What the proxy said it holds, until there is a snapshot to compare with."""
    cursor: Node | None = None
    gaps: dict[str, Gap] = field(default_factory=dict)
    flight: Flight | None = None
    rejected: dict[tuple[str, str], None] = field(default_factory=dict)
    """Names and versions that are known to be refused, oldest first; they are not sent again."""
    refused: str | None = None
    """The version of the last refused whole set."""
    apart: list[frozenset[str]] = field(default_factory=list)
    """Names of refused responses that did not name a culprit: to be sent in these parts."""
    riddles: dict[frozenset[tuple[str, str]], None] = field(default_factory=dict)
    """Names and versions that were refused together without a culprit, oldest first; not to be sent together again."""
    nonce: str = ""
    last_body: int = 0
    renonced: int = 0
    behind: int | None = -1
    """What was last reported of `first_missing`."""
    told_wanted: bool = False

    @property
    def complete(self) -> bool:
        """Whether each response holds the whole set, so that absence means deletion."""
        return self.dialect is Dialect.STATE and (self.type_url in COMPLETE or self.wildcard)

    @property
    def wanted(self) -> bool:
        """Whether it asks for anything."""
        return self.wildcard or bool(self.names)

    @property
    def idle(self) -> bool:
        """Whether everything it asks for was sent and acknowledged."""
        return not (self.fresh or self.gaps or self.flight)

    @property
    def everything_in_doubt(self) -> bool:
        """Whether nothing is known of what the proxy holds: its first response is still to be sent or ACKed."""
        return self.fresh or (self.flight is not None and self.flight.gaps is None)

    def covers(self, name: str) -> bool:
        """Whether it asks for a name."""
        return self.wildcard or name in self.names

    def follow(self, catalog: Catalog) -> None:
        """Take in what was published since the last look."""
        if self.cursor is None:
            self.cursor = catalog.head
        elif self.cursor is not catalog.head:
            changes = self.cursor.changes_to(catalog.head)
            self.cursor = catalog.head
            if not self.fresh:
                for name in self._concerned(changes):
                    self.note(name, changes[name].old, changes[name].new, changes[name].since)

    def resume(self, catalog: Catalog, view: View) -> None:
        """Start where the proxy was with an earlier stream."""
        self.fresh, self.cursor = False, view.node
        for name, held in view.overlay.items():
            self.gaps[name] = Gap(held, view.node.revision)
        self.follow(catalog)
        for name, gap in tuple(self.gaps.items()):
            current = catalog.entries.get(name)
            gap.retiring = current is None and self.type_url in RETIRED_LAST
            if version_of(gap.held) == version_of(current):
                del self.gaps[name]

    def _concerned(self, changes: Mapping[str, object]) -> Iterable[str]:
        if self.wildcard:
            return changes
        fewer, more = (self.names, changes) if len(self.names) < len(changes) else (changes, self.names)
        return [name for name in fewer if name in more]

    def note(self, name: str, old: Entry | None, new: Entry | None, since: int) -> None:
        """A name changed: open a gap, or close the one that is there if the proxy holds the new content already."""
        gap = self.gaps.get(name)
        if gap is None:
            gap = self.gaps[name] = Gap(old, since)
        gap.waiting_since, gap.reported = None, False
        gap.retiring = new is None and gap.held is not None and self.type_url in RETIRED_LAST
        if gap.needless(new):
            del self.gaps[name]

    def force(self, name: str, held: Entry | None, since: int) -> None:
        """Answer a name whether it changed or not."""
        self.gaps.setdefault(name, Gap(held, since)).forced = True

    def lack(self, name: str, held: Entry | None, since: int) -> None:
        """The proxy does not surely have a name: to be answered if it asked by name, to be sent if it is published."""
        self.gaps.setdefault(name, Gap(held, since)).forced |= name in self.names

    def expand(self, catalog: Catalog) -> None:
        """Turn "everything is due" into one gap per name."""
        self.fresh = False
        held = Entry.foreign("") if self.returning else None
        for name in self.names.union(catalog.entries) if self.wildcard else self.names:
            self.lack(name, held, 0)

    def forget(self, names: Iterable[str]) -> None:
        """The proxy does not ask for these names any more."""
        for name in names:
            self.gaps.pop(name, None)

    def acknowledge(self) -> None:
        """The proxy accepted what was in flight."""
        if self.flight is not None:
            self.acquit(self.flight.gaps)
        self.flight, self.refused = None, None

    def acquit(self, names: Iterable[str] | None) -> None:
        """These names, None for all, are suspects no more: they were accepted, or are known to be refused."""
        cleared = frozenset(names) if names is not None else frozenset().union(*self.apart)
        self.apart = [part - cleared for part in self.apart if part - cleared]

    def reject(self, culprits: Iterable[tuple[str, str]]) -> None:
        """Remember culprits, as many as is sensible."""
        self.rejected.update(dict.fromkeys(culprits))
        for oldest in list(self.rejected)[:-_REMEMBERED_CULPRITS]:
            del self.rejected[oldest]

    def puzzle(self, suspects: Mapping[str, str]) -> None:
        """Remember what was refused together (name to version), as much as is sensible."""
        self.riddles[frozenset(suspects.items())] = None
        for oldest in list(self.riddles)[:-_REMEMBERED_RIDDLES]:
            del self.riddles[oldest]

    def first_missing(self) -> int | None:
        """The first revision the proxy lacks something of, None if it has all; what only retires does not count."""
        if self.fresh:
            return 0 if self.wanted else None
        missing = [gap.since for gap in self.gaps.values() if not gap.retiring]
        if self.flight is not None:
            missing += self.flight.missing()
        return min(missing, default=None)
