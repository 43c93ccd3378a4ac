"""Which objects are there, and which version of each serves? The inputs of everything that is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from northgate.api.kubernetes import EndpointSlice, ReferenceGrant
from northgate.api.parse import GROUP, Parsed, parse
from northgate.engine import Derived, Engine, Index, Input
from northgate.world.key import ObjectKey

Name = tuple[str, str]
"""Namespace and name of an object whose kind is known from the context."""

_FEW = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """An object: the newest version seen, and the version that serves.

    `serving` is the newest version without problems of its own. Where there never was one it is the newest version if
    it could be read, so that its good rules serve, else None.
    """

    latest: Parsed
    serving: Parsed | None

    @property
    def spec(self) -> Any:
        """The spec that serves, or None."""
        return self.serving.spec if self.serving is not None else None

    @property
    def fell_back(self) -> bool:
        """True when an older version serves because the newest one is bad."""
        return self.serving is not None and self.serving is not self.latest


class World:
    """All objects by kind. Owned by one thread; `put` and `remove` are its only ways to change."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gateways: Input[Name, Entry] = engine.input("gateways")
        self.routes: Input[Name, Entry] = engine.input("routes")
        self.upstreams: Input[Name, Entry] = engine.input("upstreams")
        self.services: Input[Name, Entry] = engine.input("services")
        self.slices: Input[Name, Entry] = engine.input("slices")
        self.secrets: Input[Name, Entry] = engine.input("secrets")
        self.config_maps: Input[Name, Entry] = engine.input("config maps")
        self.namespaces: Input[Name, Entry] = engine.input("namespaces")
        self.grants: Input[tuple[str, Name], Entry] = engine.input("grants")
        self._by_kind: dict[tuple[str, str], Input[Name, Entry]] = {
            (GROUP, "EdgeGateway"): self.gateways,
            (GROUP, "Route"): self.routes,
            (GROUP, "Upstream"): self.upstreams,
            ("", "Service"): self.services,
            ("discovery.k8s.io", "EndpointSlice"): self.slices,
            ("", "Secret"): self.secrets,
            ("", "ConfigMap"): self.config_maps,
            ("", "Namespace"): self.namespaces,
        }
        # Names that may be meant where a reference leads nowhere, by namespace.
        self.services_in = _few_names(engine, self.services)
        self.upstreams_in = _few_names(engine, self.upstreams)
        self.secrets_in = _few_names(engine, self.secrets)
        self.config_maps_in = _few_names(engine, self.config_maps)
        self.gateways_in: Index[str, Name] = engine.index(self.gateways, _namespace)
        self.gateways_called: Index[str, Name] = engine.index(self.gateways, lambda name, _: (name[1],))
        self.slices_of_service: Index[Name, Name] = engine.index(self.slices, _service_of)
        self.grants_of_namespace: Index[str, tuple[str, Name]] = engine.index(self.grants, _namespace_of)

    def put(self, key: ObjectKey, document: Mapping[str, Any]) -> Entry:
        """Take in a new version of an object of a known kind; its last good version goes on serving if this is bad."""
        parsed = parse(key.group, key.kind, document)
        place, name = self._place(key)
        entry = Entry(parsed, _serving(place.get(name), parsed))
        place.put(name, entry)
        return entry

    def remove(self, key: ObjectKey) -> None:
        """Forget an object."""
        place, name = self._place(key)
        place.remove(name)

    def entry(self, key: ObjectKey) -> Entry | None:
        """An object of a known kind."""
        place, name = self._place(key)
        return place.get(name)

    def foreign(self) -> Iterator[tuple[ObjectKey, Entry]]:
        """The objects of kinds that are not Northgate's own, which have no status of ours."""
        for (group, kind), place in self._by_kind.items():
            if group != GROUP:
                yield from ((ObjectKey(group, kind, *name), entry) for name, entry in place.items())
        yield from ((ObjectKey(key[0], "ReferenceGrant", *key[1]), entry) for key, entry in self.grants.items())

    def _place(self, key: ObjectKey) -> tuple[Input[Any, Entry], Any]:
        if key.kind == "ReferenceGrant":
            return self.grants, (key.group, (key.namespace, key.name))
        name = ("", key.name) if key.kind == "Namespace" else (key.namespace, key.name)
        return self._by_kind[key.group, key.kind], name


def _serving(old: Entry | None, new: Parsed) -> Parsed | None:
    if new.good:
        return new
    if old is not None and old.serving is not None and (old.serving.good or new.spec is None):
        return old.serving
    return new if new.spec is not None else None


def _few_names(engine: Engine, source: Input[Name, Entry]) -> Derived[str, tuple[str, ...]]:
    """The names in a namespace, none where there are many.

    In a large namespace the comparison would cost more than the hint is worth, and every object that comes or goes
    would change what is said of every broken reference.
    """
    index = engine.index(source, _namespace)

    def names(namespace: str) -> tuple[str, ...]:
        found = index.bucket(namespace)
        return tuple(name for _, name in found) if len(found) <= _FEW else ()

    return engine.group(f"names of {source.name}", index, names)


def _namespace(name: Name, _entry: Entry) -> tuple[str, ...]:
    return (name[0],)


def _service_of(name: Name, entry: Entry) -> tuple[Name, ...]:
    found: EndpointSlice | None = entry.spec
    return ((name[0], found.service),) if found is not None and found.service else ()


def _namespace_of(key: tuple[str, Name], entry: Entry) -> tuple[str, ...]:
    found: ReferenceGrant | None = entry.spec
    return (key[1][0],) if found is not None else ()
