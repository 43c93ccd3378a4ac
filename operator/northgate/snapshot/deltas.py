"""What changed for each gateway's proxies? The compile's changed results as resources to put and names to remove."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from northgate.engine import Derived
from northgate.resolve.attachment import Place, Table
from northgate.snapshot.compiler import Compiler
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Delta, Resource, TypeDelta
from northgate.snapshot.tables import RouteTable
from northgate.translate import names
from northgate.translate.virtual_hosts import route_configuration_header
from northgate.world.store import Name

Change = tuple[Name, str, str, Resource | None]
"""A gateway, a type, a resource's name, and the resource, or None when it is gone."""


class Snapshots:
    """The resources of every gateway. `update` takes in a settled compile and returns what changed, by gateway."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._tables: dict[Table, RouteTable] = {}
        self._reserved: dict[Table, dict[str, Any]] = {}
        self.resources: dict[Name, dict[str, dict[str, Resource]]] = {}
        for stage in self._stages():
            stage.observe()

    def update(self) -> dict[Name, Delta]:
        """Bring `resources` up to date; gateways without a change are absent from the answer."""
        changed: dict[Name, dict[str, tuple[dict[str, Resource], set[str]]]] = {}
        for gateway, type_url, name, resource in self._changes():
            if self._hold(gateway, type_url, name, resource):
                put, removed = changed.setdefault(gateway, {}).setdefault(type_url, ({}, set()))
                if resource is None:
                    removed.add(name)
                else:
                    put[name] = resource
        return {gateway: _delta(types) for gateway, types in changed.items()}

    def _stages(self) -> Iterator[Derived[Any, Any]]:
        compiler = self._compiler
        yield from (compiler.clusters, compiler.endpoints, compiler.credentials, compiler.listeners)
        yield from (compiler.virtual_hosts, compiler.reserved, compiler.certificates)

    def _hold(self, gateway: Name, type_url: str, name: str, resource: Resource | None) -> bool:
        """Keep a resource; False when the proxies have it already."""
        held = self.resources.setdefault(gateway, {}).setdefault(type_url, {})
        old = held.get(name)
        if resource is None:
            return held.pop(name, None) is not None
        held[name] = resource
        return old is None or old.version != resource.version or old.depends != resource.depends

    def _changes(self) -> Iterator[Change]:
        compiler = self._compiler
        yield from _changed(CLUSTER, compiler.clusters, lambda key: names.cluster(key[1]), lambda found: found.resource)
        yield from _changed(ENDPOINT, compiler.endpoints, lambda key: names.endpoints(key[1]), lambda found: found)
        yield from _changed(SECRET, compiler.credentials, lambda key: names.credential(key[1]), lambda found: found)
        yield from _changed(
            LISTENER, compiler.listeners, lambda key: names.listener(*key), lambda found: found.resource
        )
        yield from _changed(SECRET, compiler.certificates, lambda key: names.certificate(key[1]), lambda found: found)
        yield from self._changed_tables()

    def _changed_tables(self) -> Iterator[Change]:
        touched = set(self._update_reserved())
        for place in self._compiler.virtual_hosts.take_changes():
            if self._table(place.table) is not None:
                self._update_host(place)
                touched.add(place.table)
        for table in sorted(touched):
            held = self._tables.get(table)
            yield table.gateway, ROUTE, names.table(table), held.resource() if held is not None else None

    def _update_reserved(self) -> Iterator[Table]:
        for table in self._compiler.reserved.take_changes():
            now = self._compiler.reserved.get(table)
            before = self._reserved.pop(table, {})
            if now is None:
                self._tables.pop(table, None)
            else:
                self._reserved[table] = dict(now)
                for host in sorted({*before, *self._reserved[table]}):
                    self._update_host(Place(table, host))
                self._table(table)
            yield table

    def _table(self, table: Table) -> RouteTable | None:
        """The table, made with all its hosts when it is new; None when the gateway has no such table any more."""
        if table not in self._reserved:
            return None
        found = self._tables.get(table)
        if found is None:
            found = self._tables[table] = RouteTable(names.table(table), route_configuration_header(table))
            # Hosts of a listener that could not serve until now are there already.
            for place in self._compiler.places_of_table.bucket(table):
                self._update_host(place)
        return found

    def _update_host(self, place: Place) -> None:
        table = self._table(place.table)
        if table is not None:
            reserved = self._reserved[place.table].get(place.host)
            table.put(place.host, reserved or self._compiler.virtual_hosts.get(place))


def _changed(
    type_url: str,
    stage: Derived[Any, Any],
    name: Callable[[Any], str],
    resource: Callable[[Any], Resource],
) -> Iterator[Change]:
    for key in stage.take_changes():
        found = stage.get(key)
        yield key[0], type_url, name(key), resource(found) if found is not None else None


def _delta(types: dict[str, tuple[dict[str, Resource], set[str]]]) -> Delta:
    def one(put: dict[str, Resource], removed: Iterable[str]) -> TypeDelta:
        return TypeDelta(put, frozenset(removed))

    return Delta({type_url: one(*parts) for type_url, parts in types.items()})
