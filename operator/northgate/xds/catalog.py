"""The current resources of one type in one group, with their version, their history and the bodies streams share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from northgate.snapshot.resource import CLUSTER, LISTENER
from northgate.xds.entry import Entry, set_version
from northgate.xds.history import Change, Node
from northgate.xds.wire import nonce_field

_REMEMBERED_VERSIONS = 32
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


class Catalog:
    """Names to entries, and what has to be known about them without looking at all of them."""

    def __init__(self, type_url: str, revision: int) -> None:
        self.type_url = type_url
        self.entries: dict[str, Entry] = {}
        self.head = Node(revision)
        self.users: dict[str, set[str]] = {}
        self.weight = 0
        self._total = 0
        self._lacking: dict[frozenset[str], frozenset[str]] = {}
        self._bodies: dict[Hashable, Body] = {}
        self._known: OrderedDict[str, Node] = OrderedDict()
        self._remember()

    @property
    def version(self) -> str:
        """The version of the whole set."""
        return set_version(self._total)

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
        if change.new is not None:
            self._total += change.new.digest
            self.weight += change.new.weight
            self.entries[name] = change.new
            self._remember_user(change.new)

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
        node = Node(revision, changes)
        self.head.next = node
        self.head = node
        self._remember()

    def _remember(self) -> None:
        if self.type_url not in _RESUMABLE:
            return
        self._known[self.version] = self.head
        self._known.move_to_end(self.version)
        if len(self._known) > _REMEMBERED_VERSIONS:
            self._known.popitem(last=False)

    def node_of(self, version: str) -> Node | None:
        """The newest state that had a version, if it is recent and of a type a reconnecting proxy may resume."""
        return self._known.get(version)

    def version_with(self, overlay: Mapping[str, Entry | None]) -> str:
        """The version of the set as somebody sees it who holds other entries (None: lacks it) for some names."""
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
        """Those of the names that are not published; looked up once per revision and set of names."""
        lacking = self._lacking.get(names)
        if lacking is None:
            lacking = self._lacking[names] = frozenset(name for name in names if name not in self.entries)
        return lacking

    def pick(self, names: Iterable[str]) -> tuple[Entry, ...]:
        """The entries of those names that exist."""
        return tuple(entry for name in sorted(names) if (entry := self.entries.get(name)) is not None)


def version_of(entry: Entry | None) -> str | None:
    """The version, None for nothing: what two states are compared by."""
    return None if entry is None else entry.version
