"""The bytes of a response: everything a proxy asks for, or the names chosen for it; built once for all streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from northgate.snapshot.resource import ENDPOINT
from northgate.xds import wire
from northgate.xds.catalog import Body, Catalog, version_of
from northgate.xds.entry import Entry
from northgate.xds.request import Dialect
from northgate.xds.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes into the next response: names to put, names to take away, names to report as missing."""

    adds: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.adds or self.removals or self.missing)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.adds + self.removals + self.missing


@dataclass(frozen=True, slots=True)
class Author:
    """Writes responses in the name of one control plane."""

    identifier: str

    def whole(self, sub: Subscription, catalog: Catalog) -> Body | None:
        """Everything the subscription asks for; None if a State-of-the-World proxy need not be told anything."""
        lacking = frozenset() if sub.complete else catalog.lacking(sub.names)
        silent = sub.type_url != ENDPOINT and sub.dialect is Dialect.STATE and not (sub.complete or sub.wildcard)
        if silent and len(lacking) == len(sub.names):
            return None

        def build() -> bytes:
            entries = tuple(catalog.entries.values()) if sub.wildcard else catalog.pick(sub.names)
            return self._message(sub, catalog.version, entries, tuple(sorted(lacking)))

        return catalog.body(("whole", sub.dialect, sub.complete, sub.wildcard, sub.names), build)

    def version(self, sub: Subscription, catalog: Catalog, choice: Choice) -> str:
        """The version of what the proxy holds after a response that closes the chosen gaps."""
        return catalog.version_with(_left(sub, choice))

    def chosen(self, sub: Subscription, catalog: Catalog, choice: Choice) -> Body:
        """A response that closes the chosen gaps."""
        overlay = _left(sub, choice)
        if sub.complete:
            return self._complete(sub, catalog, overlay)
        version = catalog.version_with(overlay)
        entries = catalog.pick(choice.adds)
        gone = (*choice.removals, *choice.missing)
        key = (sub.dialect, version, frozenset((entry.name, entry.version) for entry in entries), gone)
        return catalog.body(key, lambda: self._message(sub, version, entries, gone))

    def _complete(self, sub: Subscription, catalog: Catalog, overlay: Mapping[str, Entry | None]) -> Body:
        """The whole set with the entries the proxy is to keep for now."""
        catalog.remember(catalog.version_with(overlay), overlay)
        held = frozenset((name, version_of(entry)) for name, entry in overlay.items())
        names = sub.names if not sub.wildcard else None

        def build() -> bytes:
            view = {name: overlay.get(name, entry) for name, entry in catalog.entries.items()}
            view.update(overlay)
            seen = (entry for name, entry in view.items() if names is None or name in names)
            known = tuple(entry for entry in seen if entry is not None and entry.known)
            return self._message(sub, catalog.version_with(overlay), known, ())

        return catalog.body(("complete", sub.dialect, names, held), build)

    def _message(self, sub: Subscription, version: str, entries: tuple[Entry, ...], gone: tuple[str, ...]) -> bytes:
        if sub.dialect is Dialect.DELTA:
            frames = [entry.delta for entry in entries]
            frames += [wire.removed_frame(name) for name in gone]
            return wire.delta_response(sub.type_url, version, self.identifier, frames)
        frames = [entry.state for entry in entries]
        if sub.type_url == ENDPOINT:
            frames += [wire.state_frame(sub.type_url, wire.empty_assignment(name)) for name in gone]
        return wire.state_response(sub.type_url, version, self.identifier, frames)


def _left(sub: Subscription, choice: Choice) -> Mapping[str, Entry | None]:
    """The gaps that stay open, with what the proxy holds there."""
    chosen = frozenset(choice.names)
    return {name: gap.held for name, gap in sub.gaps.items() if name not in chosen}
