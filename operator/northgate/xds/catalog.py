"""The current resources of one type in one group, with their version, their history and the bodies streams share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER
from northgate.xds.entry import Entry, set_version
from northgate.xds.history import Change, Node
from northgate.xds.wire import nonce_field

_REMEMBERED_VERSIONS = 32
_REMEMBERED_REMOVALS = 1024
_RESUMABLE = (CLUSTER, LISTENER)
_BODY_IDS = count(1)


@dataclass(frozen=True, slots=True)
class Body:
    """An encoded response. `data` carries the nonce `hex(id)`; `bare` bytes of it come before the nonce."""

    id: int
    data: bytes
    bare: int

    @classmethod
    def of(cls, message: bytes) -> Body:
        """A response ready to be written to any number of streams."""
        identity = next(_BODY_IDS)
        return cls(identity, message + nonce_field(f"{identity:x}"), len(message))

    def renonced(self, nonce: str) -> bytes:
        """The same response under another nonce: for a stream that has had this or a younger body before."""
        return self.data[: self.bare] + nonce_field(nonce)


@dataclass(frozen=True, slots=True)
class View:
    """What a proxy held once: the published state at a node, but for the names of the overlay (None: lacked)."""

    node: Node
    overlay: Mapping[str, Entry | None]


class Catalog:
    """Names to entries, and what has to be known about them without looking at all of them."""

    def __init__(self, type_url: str, revision: int) -> None:
        self.type_url = type_url
        self.entries: dict[str, Entry] = {}
        self.head = Node(revision)
        self.users: dict[str, set[str]] = {}
        self.weight = 0
        self.version = set_version(0)
        """The version of the whole set."""
        self._total = 0
        self._lacking: dict[frozenset[str], frozenset[str]] = {}
        self._bodies: dict[Hashable, Body] = {}
        self._views: OrderedDict[str, View] = OrderedDict()
        self._retired: OrderedDict[str, Entry] = OrderedDict()
        self.remember(self.version, {})

    def apply(self, entries: Mapping[str, Entry | None], revision: int) -> bool:
        """Put entries and take names away (None); False if that changes nothing."""
        changes = {
            name: Change(self.entries.get(name), entry, revision)
            for name, entry in entries.items()
            if version_of(self.entries.get(name)) != version_of(entry)
        }
        if not changes:
            return False
        for name, change in changes.items():
            self._put(name, change)
        self._advance(changes, revision)
        return True

    def _put(self, name: str, change: Change) -> None:
        if change.old is not None:
            self._total -= change.old.digest
            self.weight -= change.old.weight
            self._forget_user(change.old)
            del self.entries[name]
            self._retire(change.old)
        if change.new is not None:
            self._total += change.new.digest
            self.weight += change.new.weight
            self.entries[name] = change.new
            self._retired.pop(name, None)
            self._remember_user(change.new)

    def _retire(self, entry: Entry) -> None:
        if self.type_url == ENDPOINT:
            self._retired[entry.name] = entry
            if len(self._retired) > _REMEMBERED_REMOVALS:
                self._retired.popitem(last=False)

    def retired(self, name: str) -> Entry | None:
        """The last endpoints of a cluster that is going: a proxy that asks for them still uses it."""
        return self._retired.get(name)

    def latest(self, name: str) -> Entry | None:
        """The published entry, else the retired one."""
        return self.entries.get(name) or self._retired.get(name)

    def _remember_user(self, entry: Entry) -> None:
        for dependency in (entry.depends or ()) if self.type_url == CLUSTER else ():
            self.users.setdefault(dependency, set()).add(entry.name)

    def _forget_user(self, entry: Entry) -> None:
        for dependency in (entry.depends or ()) if self.type_url == CLUSTER else ():
            self.users[dependency].discard(entry.name)
            if not self.users[dependency]:
                del self.users[dependency]

    def _advance(self, changes: Mapping[str, Change], revision: int) -> None:
        self._bodies.clear()
        self._lacking.clear()
        self.version = set_version(self._total)
        node = Node(revision, changes)
        self.head.next = node
        self.head = node
        self.remember(self.version, {})

    def remember(self, version: str, overlay: Mapping[str, Entry | None]) -> None:
        """Keep a state some proxy may tell of when it reconnects: the published one, but for some names."""
        unknown = any(entry is not None and entry.depends is None for entry in overlay.values())
        if unknown or self.type_url not in _RESUMABLE:
            return
        self._views[version] = View(self.head, overlay)
        self._views.move_to_end(version)
        if len(self._views) > _REMEMBERED_VERSIONS:
            self._views.popitem(last=False)

    def view_of(self, version: str) -> View | None:
        """The newest state that had a version, if it is recent and of a type a reconnecting proxy may resume."""
        return self._views.get(version)

    def version_with(self, overlay: Mapping[str, Entry | None]) -> str:
        """The version of the set as somebody sees it who holds other entries (None: lacks it) for some names."""
        if not overlay:
            return self.version
        total = self._total
        for name, held in overlay.items():
            current = self.entries.get(name)
            total += (held.digest if held is not None and held.known else 0) - (current.digest if current else 0)
        return set_version(total)

    def body(self, key: Hashable, build: Callable[[], bytes]) -> Body:
        """The response of a key, built by the first stream that needs it and dropped with the next revision."""
        body = self._bodies.get(key)
        if body is None:
            body = self._bodies[key] = Body.of(build())
        return body

    def lacking(self, names: frozenset[str]) -> frozenset[str]:
        """Those of the names there is nothing to send of; looked up once per revision and set of names."""
        lacking = self._lacking.get(names)
        if lacking is None:
            lacking = self._lacking[names] = frozenset(name for name in names if self.latest(name) is None)
        return lacking

    def pick(self, names: Iterable[str]) -> tuple[Entry, ...]:
        """The latest entries of those names that have one."""
        return tuple(entry for name in sorted(names) if (entry := self.latest(name)) is not None)


def version_of(entry: Entry | None) -> str | None:
    """The version, None for nothing: what two states are compared by."""
    return None if entry is None else entry.version
