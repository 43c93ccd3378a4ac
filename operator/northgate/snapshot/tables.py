"""How is a RouteConfiguration kept up to date? From encoded virtual hosts, at the cost of those that changed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from hashlib import blake2b

from northgate.snapshot.resource import ROUTE, Resource
from northgate.translate import wire
from northgate.translate.virtual_hosts import VirtualHostFrame

_SUM = 1 << 128


class RouteTable:
    """The virtual hosts of one RouteConfiguration.

    Its version is a hash of the multiset of its parts' hashes: changing one host costs one hash, not one of everything.
    """

    def __init__(self, name: str, header: bytes) -> None:
        self._name = name
        self._header = header
        self._hosts: list[str] = []
        self._frames: dict[str, VirtualHostFrame] = {}
        self._clusters: Counter[str] = Counter()
        self._sum = _hash(header)

    def put(self, host: str, frame: VirtualHostFrame | None) -> None:
        """Set or, with None, remove the virtual host of a hostname."""
        old = self._frames.get(host)
        if old is frame:
            return
        if old is not None:
            del self._frames[host]
            self._sum -= _hash(old.frame)
            self._clusters.subtract(old.clusters)
        if frame is not None:
            self._frames[host] = frame
            self._sum += _hash(frame.frame)
            self._clusters.update(frame.clusters)
        if (old is None) != (frame is None):
            self._place(host, present=frame is not None)
        self._sum %= _SUM

    def resource(self) -> Resource:
        """The RouteConfiguration as it is now."""
        body = b"".join([self._header, *(self._frames[host].frame for host in self._hosts)])
        self._clusters = +self._clusters
        version = blake2b(self._sum.to_bytes(16, "big"), digest_size=8).hexdigest()
        return Resource(ROUTE, self._name, version, body, frozenset(self._clusters))

    def _place(self, host: str, *, present: bool) -> None:
        if present:
            insort(self._hosts, host)
        else:
            del self._hosts[bisect_left(self._hosts, host)]


def _hash(part: bytes) -> int:
    return int.from_bytes(blake2b(wire.varint(len(part)) + part, digest_size=16).digest(), "big")
