"""How is a RouteConfiguration kept up to date? From encoded virtual hosts, at the cost of those that changed."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from hashlib import blake2b

from northgate.snapshot.resource import ROUTE, Resource
from northgate.translate import wire
from northgate.translate.virtual_hosts import VirtualHostFrame

_SUM = 1 << 128


class RouteTable:
    """The virtual hosts of one RouteConfiguration, in the order of their hostnames.

    Its version is a hash of the multiset of its parts' hashes: changing one host costs one hash, not one of everything.
    """

    def __init__(self, name: str, header: bytes) -> None:
        self._name = name
        self._header = header
        self._hosts: list[str] = []
        self._frames: list[bytes] = []
        self._parts: dict[str, VirtualHostFrame] = {}
        self._uses: Counter[str] = Counter()
        self._clusters: frozenset[str] | None = frozenset()
        self._sum = _hash(header)

    def put(self, host: str, frame: VirtualHostFrame | None) -> None:
        """Set or, with None, remove the virtual host of a hostname."""
        old = self._parts.pop(host, None)
        if frame is not None:
            self._parts[host] = frame
            self._sum += _hash(frame.frame)
        if old is not None:
            self._sum -= _hash(old.frame)
        self._sum %= _SUM
        self._place(host, None if old is None else old.frame, None if frame is None else frame.frame)
        self._count(frozenset() if old is None else old.clusters, frozenset() if frame is None else frame.clusters)

    def resource(self) -> Resource:
        """The RouteConfiguration as it is now."""
        if self._clusters is None:
            self._clusters = frozenset(self._uses)
        version = blake2b(self._sum.to_bytes(16, "big"), digest_size=8).hexdigest()
        return Resource(ROUTE, self._name, version, b"".join([self._header, *self._frames]), self._clusters)

    def _place(self, host: str, old: bytes | None, new: bytes | None) -> None:
        at = bisect_left(self._hosts, host)
        if old is not None and new is not None:
            self._frames[at] = new
        elif new is not None:
            self._hosts.insert(at, host)
            self._frames.insert(at, new)
        elif old is not None:
            del self._hosts[at], self._frames[at]

    def _count(self, old: frozenset[str], new: frozenset[str]) -> None:
        for cluster in new - old:
            self._uses[cluster] += 1
            if self._uses[cluster] == 1:
                self._clusters = None
        for cluster in old - new:
            self._uses[cluster] -= 1
            if not self._uses[cluster]:
                del self._uses[cluster]
                self._clusters = None


def _hash(part: bytes) -> int:
    return int.from_bytes(blake2b(wire.varint(len(part)) + part, digest_size=16).digest(), "big")
