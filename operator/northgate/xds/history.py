"""What changed in one type since a stream last looked: a linked list of changes, kept as long as somebody needs it.

A stream holds one node, the state it knows. Newer nodes hang behind it; nodes nobody holds are freed. Streams that
stand at the same node share the merged changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from northgate.xds.entry import Entry


@dataclass(frozen=True, slots=True)
class Change:
    """One name: what it was, what it is (None: absent), and the first revision in which it changed."""

    old: Entry | None
    new: Entry | None
    since: int


@dataclass(slots=True, eq=False)
class Node:
    """The state of a type after one revision; `changes` led to it from the node before."""

    revision: int
    changes: Mapping[str, Change] = field(default_factory=lambda: MappingProxyType({}))
    next: Node | None = None
    _merged: tuple[Node, Mapping[str, Change]] | None = None

    def changes_to(self, head: Node) -> Mapping[str, Change]:
        """Everything that changed between this node and the head, one Change per name."""
        if self.next is head:
            return head.changes
        if self._merged is None or self._merged[0] is not head:
            self._merged = (head, self._merge(head))
        return self._merged[1]

    def _merge(self, head: Node) -> Mapping[str, Change]:
        merged: dict[str, Change] = {}
        node = self
        while node is not head and node.next is not None:
            node = node.next
            for name, change in node.changes.items():
                first = merged.get(name)
                merged[name] = change if first is None else Change(first.old, change.new, first.since)
        return merged
