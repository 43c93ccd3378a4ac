"""What is the whole pure core in one value? Objects in, changes of the proxies' resources out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from northgate.engine import Engine
from northgate.snapshot.compiler import Compiler
from northgate.snapshot.deltas import Snapshots
from northgate.snapshot.resource import Delta, Resource
from northgate.translate.listeners import Binding
from northgate.world.key import ObjectKey
from northgate.world.store import Name, World


class Edge:
    """All gateways from all objects. Not thread-safe: one owner, one thread."""

    def __init__(self, binding: Binding | None = None) -> None:
        self.engine = Engine()
        self.world = World(self.engine)
        self.compiler = Compiler(self.world, binding)
        self.snapshots = Snapshots(self.compiler)

    def apply(
        self, put: Iterable[tuple[ObjectKey, Mapping[str, Any]]], removed: Iterable[ObjectKey] = ()
    ) -> dict[Name, Delta]:
        """Take in new versions and removals of objects of known kinds; what changes for the proxies, by gateway."""
        for key in removed:
            self.world.remove(key)
        for key, document in put:
            self.world.put(key, document)
        self.engine.settle()
        return self.snapshots.update()

    def resources(self, gateway: Name) -> Mapping[str, Mapping[str, Resource]]:
        """What the proxies of a gateway are to hold, by type URL and name."""
        return self.snapshots.resources.get(gateway, {})
