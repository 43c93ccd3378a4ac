"""One published resource with its ready frames: encoded once, shared by every group and stream."""

from __future__ import annotations

from hashlib import blake2b
from weakref import WeakValueDictionary

from northgate.snapshot.resource import Resource, content_version
from northgate.xds.wire import delta_frame, state_frame

_DIGEST_BYTES = 16
_FRAMING = 100
_MODULUS = 1 << 8 * _DIGEST_BYTES


class Entry:
    """A resource a proxy holds or is to hold.

    Frames are made when the first stream asks. `depends` is None for a resource the proxy holds from an earlier
    stream and whose content is unknown here: it may use anything.
    """

    __slots__ = ("__weakref__", "_delta", "_state", "depends", "digest", "name", "resource", "version")

    def __init__(self, resource: Resource) -> None:
        self.resource: Resource | None = resource
        self.name = resource.name
        self.version = resource.version
        self.depends: frozenset[str] | None = resource.depends
        self.digest = digest(resource.name, resource.version)
        self._state: bytes | None = None
        self._delta: bytes | None = None

    @classmethod
    def foreign(cls, name: str, version: str = "", depends: frozenset[str] | None = None) -> Entry:
        """Something the proxy holds, or may hold, whose bytes are not at hand."""
        entry = cls(Resource("", name, version, b"", depends or frozenset()))
        entry.resource, entry.depends = None, depends
        return entry

    @property
    def weight(self) -> int:
        """About how many bytes it adds to a response."""
        return len(self.resource.body) + 2 * len(self.name) + _FRAMING if self.resource else 0

    @property
    def known(self) -> bool:
        """Whether the bytes are at hand, so that it can be sent."""
        return self.resource is not None

    @property
    def state(self) -> bytes:
        """The frame of a State-of-the-World response; empty if the bytes are not at hand."""
        if self._state is None:
            self._state = state_frame(self.resource.type_url, self.resource.body) if self.resource else b""
        return self._state

    @property
    def delta(self) -> bytes:
        """The frame of a delta response; empty if the bytes are not at hand."""
        if self._delta is None:
            self._delta = delta_frame(self.resource) if self.resource else b""
        return self._delta

    @property
    def certain(self) -> bool:
        """Whether a proxy that is said to hold it does so for sure, in the version given."""
        return bool(self.version)

    def uses(self, name: str) -> bool:
        """Whether it depends on a name, or may do so."""
        return self.depends is None or name in self.depends


def digest(name: str, version: str) -> int:
    """A number for one (name, version); numbers of a set are added up, so order never matters."""
    return int.from_bytes(blake2b(f"{name}\0{version}".encode(), digest_size=_DIGEST_BYTES).digest())


def set_version(total: int) -> str:
    """The version of a set of resources from the sum of their digests: equal sets, equal versions, for ever."""
    return content_version((total % _MODULUS).to_bytes(_DIGEST_BYTES))


class Encoder:
    """Entries by content: the same resource published to many groups is held and encoded once."""

    def __init__(self) -> None:
        self._entries: WeakValueDictionary[tuple[str, str, str], Entry] = WeakValueDictionary()

    def entry(self, resource: Resource) -> Entry:
        """The one entry of a resource."""
        key = (resource.type_url, resource.name, resource.version)
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = Entry(resource)
        return found
