"""What each group of proxies is to have now: catalogs by type under one monotone revision per group."""

from __future__ import annotations

from collections.abc import Mapping

from northgate.snapshot.resource import TYPES, Delta, TypeDelta
from northgate.xds.catalog import Catalog
from northgate.xds.entry import Encoder, Entry


class Group:
    """All proxies that share one snapshot. Streams may wait in it long before it has one.

    `ready` says whether there is a snapshot; `revision` counts the changes, 0 before the first. `doubted` names the
    (type URL, node id) whose last word was a NACK: such a proxy may run parts of what it refused, and if it
    reconnects, the version it tells is not all it holds.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.revision = 0
        self.ready = False
        self.doubted: set[tuple[str, str]] = set()
        self._catalogs: dict[str, Catalog] = {}

    def catalog(self, type_url: str) -> Catalog | None:
        """The catalog of a type; None for a foreign type nothing was ever published of."""
        if type_url not in self._catalogs and type_url in TYPES:
            self._catalogs[type_url] = Catalog(type_url, self.revision)
        return self._catalogs.get(type_url)

    def catalogs(self) -> Mapping[str, Catalog]:
        """The catalogs that exist, by type URL."""
        return self._catalogs

    def apply(self, delta: Delta, encoder: Encoder) -> bool:
        """Move to the next revision; False if everything was so already."""
        revision = self.revision + 1
        was_ready, self.ready = self.ready, True
        types = delta if was_ready else self._replacing(delta)
        changed = [self._apply_type(type_url, part, encoder, revision) for type_url, part in types.types.items()]
        if any(changed) or not self.revision:
            self.revision = revision
        return any(changed)

    def _apply_type(self, type_url: str, part: TypeDelta, encoder: Encoder, revision: int) -> bool:
        catalog = self._catalogs.setdefault(type_url, Catalog(type_url, self.revision))
        entries: dict[str, Entry | None] = dict.fromkeys(part.removed)
        entries.update((name, encoder.entry(resource)) for name, resource in part.changed.items())
        return catalog.apply(entries, revision)

    def _replacing(self, delta: Delta) -> Delta:
        """The first delta after a clear is a whole snapshot: what it lacks is removed."""
        types = {}
        for type_url in {**self._catalogs, **delta.types}:
            part = delta.types.get(type_url, TypeDelta())
            catalog = self._catalogs.get(type_url)
            gone = catalog.entries.keys() - part.changed.keys() if catalog else frozenset()
            types[type_url] = TypeDelta(part.changed, frozenset(gone))
        return Delta(types)


class Cache:
    """The groups by name (`namespace/gateway`), and the encoder they share."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._encoder = Encoder()

    def group(self, name: str) -> Group:
        """The group of a name; an unknown one is made, without a snapshot."""
        return self._groups.setdefault(name, Group(name))

    def groups(self) -> Mapping[str, Group]:
        """Every group anybody asked for or published to."""
        return self._groups

    def publish(self, group: str, delta: Delta) -> int:
        """Make a delta the current state of a group and return its revision.

        The first delta of a group, and the first after `clear`, is the whole snapshot. A delta that changes nothing
        makes no revision. Raises ValueError, before anything is changed, for an empty name, a name that is not its
        resource's, or a resource under another type.
        """
        for type_url, part in delta.types.items():
            _refuse_misnamed(type_url, part)
        target = self.group(group)
        target.apply(delta, self._encoder)
        return target.revision

    def clear(self, group: str) -> None:
        """Withdraw the snapshot: nothing is sent until the next one; open streams and what they hold stay."""
        self.group(group).ready = False

    def drop(self, group: str) -> None:
        """Forget a group nobody is connected to any more."""
        self._groups.pop(group, None)


def _refuse_misnamed(type_url: str, part: TypeDelta) -> None:
    for name, resource in part.changed.items():
        if not name or resource.name != name:
            raise ValueError(f"a resource named {resource.name!r} was published as {name!r}")
        if resource.type_url != type_url:
            raise ValueError(f"{name!r} of type {resource.type_url} was published under {type_url}")
    both = part.removed & part.changed.keys()
    if both:
        raise ValueError(f"both changed and removed: {', '.join(sorted(both))}")
