"""How do objects become resources? The stages of the compile in order, and what changed at its end.

Each line of `_declare_…` is one stage of the memoising engine; reading them in order is reading how data flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from northgate.api.certificates import Lifetime, lifetime
from northgate.api.gateway import Defaults, EdgeGatewaySpec
from northgate.engine import Derived, Index
from northgate.resolve.attachment import (
    Parent,
    Place,
    Table,
    attach,
    connection_places,
    http_places,
    reserved_names,
    table_of,
)
from northgate.resolve.backends import ClusterKey, RouteBackends, resolve_backends
from northgate.resolve.facts import GatewayFacts, RouteFacts, gateway_facts, route_facts
from northgate.resolve.gateways import ResolvedGateway, resolve_gateway
from northgate.resolve.precedence import HostTable, Ranking, order_host, rank_route
from northgate.resolve.upstream_facts import UpstreamFacts, upstream_facts
from northgate.snapshot.resource import LISTENER, SECRET, Resource, encoded_resource
from northgate.snapshot.upstream_stages import ClusterOf, ResolvedUpstreams, UpstreamStages
from northgate.translate import names, secrets
from northgate.translate.listeners import Binding, Forward, envoy_listener
from northgate.translate.routes import RouteFrames, route_frames
from northgate.translate.virtual_hosts import VirtualHostFrame, reserved_host, virtual_host
from northgate.world.store import Name, World


class Attached(NamedTuple):
    """A Route on a gateway."""

    gateway: Name
    route: Name


class Port(NamedTuple):
    """A port of a gateway."""

    gateway: Name
    port: int


class ListenerResult(NamedTuple):
    """A listener's resource and the clusters it names itself."""

    resource: Resource
    clusters: frozenset[ClusterKey]


class Compiler:
    """The compile of all gateways. Its stages hold the results; `settle` brings them up to date."""

    def __init__(self, world: World, binding: Binding | None = None) -> None:
        self.world = world
        self._binding = binding or Binding()
        self._declare_resolve()
        self._declare_requests()
        self._declare_connections()
        self._declare_upstream()
        self._declare_facts()

    def settle(self) -> None:
        """Bring every stage up to date with the world."""
        self.world.engine.settle()

    def _declare_resolve(self) -> None:
        world, engine = self.world, self.world.engine
        self.gateways: Derived[Name, ResolvedGateway] = engine.map(
            "gateways resolved", world.gateways, lambda name: resolve_gateway(world, name)
        )
        self.defaults: Derived[Name, Defaults] = engine.map(
            "defaults", world.gateways, lambda name: _defaults(world, name)
        )
        self.parents: Derived[Name, tuple[Parent, ...]] = engine.map(
            "attachment", world.routes, lambda name: attach(world, self.gateways, name)
        )
        self.upstreams = ResolvedUpstreams(world)
        self.backends: Derived[Name, RouteBackends] = engine.map(
            "backends", world.routes, lambda name: resolve_backends(world, self.upstreams.resolved, name)
        )
        self.rankings: Derived[Name, Ranking] = engine.map(
            "rankings", world.routes, lambda name: rank_route(world, name)
        )
        self.routes_at: Index[Place, Name] = engine.index(self.parents, http_places)
        self.host_tables: Derived[Place, HostTable] = engine.group(
            "host tables", self.routes_at, lambda place: order_host(self.rankings, self.routes_at.bucket(place))
        )
        self.listeners_of_port: Index[Port, Name] = engine.index(self.gateways, _ports)

    def _declare_requests(self) -> None:
        engine = self.world.engine
        self.attached: Index[Attached, Name] = engine.index(self.parents, _attached)
        self.routes: Derived[Attached, RouteFrames] = engine.group("routes", self.attached, self._route_frames)
        self.virtual_hosts: Derived[Place, VirtualHostFrame] = engine.group(
            "virtual hosts", self.routes_at, self._virtual_host
        )
        self.places_of_table: Index[Table, Place] = engine.index(self.virtual_hosts, lambda place, _: (place.table,))
        self.tables: Index[Table, Name] = engine.index(self.gateways, _tables)
        self.reserved: Derived[Table, tuple[tuple[str, VirtualHostFrame], ...]] = engine.group(
            "reserved hosts", self.tables, self._reserved
        )

    def _declare_connections(self) -> None:
        engine = self.world.engine
        self.connections_at: Index[Place, Name] = engine.index(self.parents, connection_places)
        self.connection_tables: Derived[Place, HostTable] = engine.group(
            "connection tables",
            self.connections_at,
            lambda place: order_host(self.rankings, self.connections_at.bucket(place)),
        )
        self.places_of_port: Index[Port, Place] = engine.index(
            self.connection_tables, lambda place, _: (Port(place.table.gateway, place.table.port),)
        )
        self.listeners: Derived[Port, ListenerResult] = engine.group(
            "listeners", self.listeners_of_port, self._listener
        )

    def _declare_upstream(self) -> None:
        engine = self.world.engine
        used: Index[ClusterOf, Attached] = engine.index(
            self.routes, lambda key, frames: (ClusterOf(key.gateway, cluster) for cluster in frames.clusters)
        )
        stages = UpstreamStages(self.world, self.defaults, self.upstreams, used)
        self.clusters, self.assignments, self.endpoints = stages.clusters, stages.assignments, stages.endpoints
        self.credentials = stages.credentials
        self._by_certificate: Index[tuple[Name, Name], Name] = engine.index(self.gateways, _certificates)
        self.certificates: Derived[tuple[Name, Name], Resource] = engine.group(
            "certificates", self._by_certificate, self._certificate
        )

    def _declare_facts(self) -> None:
        engine = self.world.engine
        self._lifetimes: Derived[Name, Lifetime] = engine.map(
            "certificate lifetimes", self.world.secrets, lambda name: lifetime(self.world.secrets[name].spec)
        )
        self.lifetimes: Derived[Name, tuple[tuple[Name, Lifetime], ...]] = engine.map(
            "lifetimes of gateways", self.gateways, self._lifetimes_of
        )
        self._clashes_at: Index[Name, Place] = engine.index(self.host_tables, _losers)
        self._connection_clashes_at: Index[Name, Place] = engine.index(self.connection_tables, _losers)
        self._attached_to: Index[tuple[Name, str], Name] = engine.index(self.parents, _listeners)
        self._routes_on_gateway: Index[Name, Name] = engine.index(
            self.parents, lambda _, parents: {parent.gateway for parent in parents if parent.attachments}
        )
        self.route_facts: Derived[Name, RouteFacts] = engine.map("route facts", self.world.routes, self._route_facts)
        self.gateway_facts: Derived[Name, GatewayFacts] = engine.map(
            "gateway facts", self.world.gateways, self._gateway_facts
        )
        self.upstream_facts: Derived[Name, UpstreamFacts] = engine.map(
            "upstream facts", self.world.upstreams, self._upstream_facts
        )
        self._routes_by_gateway: Index[Name, Name] = engine.index(
            self.parents, lambda _, parents: {parent.gateway for parent in parents}
        )

    def routes_of(self, gateway: Name) -> tuple[Name, ...]:
        """The Routes that refer to a gateway, attached or not."""
        return self._routes_by_gateway.bucket(gateway)

    def _route_facts(self, name: Name) -> RouteFacts:
        lost = [
            (place, clash)
            for places, tables in (
                (self._clashes_at, self.host_tables),
                (self._connection_clashes_at, self.connection_tables),
            )
            for place in places.bucket(name)
            for clash in tables[place].clashes
            if clash.loser == name
        ]
        entry = self.world.routes[name]
        return route_facts(entry, self.parents.get(name), self.backends.get(name), tuple(lost))

    def _gateway_facts(self, name: Name) -> GatewayFacts:
        gateway = self.gateways.get(name)
        listeners = gateway.listeners if gateway is not None else ()
        by_listener = {one.name: len(self._attached_to.bucket((name, one.name))) for one in listeners}
        attached = len(self._routes_on_gateway.bucket(name))
        return gateway_facts(self.world.gateways[name], gateway, attached, by_listener)

    def _upstream_facts(self, name: Name) -> UpstreamFacts:
        endpoints = self.upstreams.endpoints.get(name) or ()
        return upstream_facts(self.world.upstreams[name], self.upstreams.resolved.get(name), endpoints)

    def _route_frames(self, key: Attached) -> RouteFrames | None:
        backends = self.backends.get(key.route)
        defaults = self.defaults.get(key.gateway)
        if backends is None or defaults is None:
            return None
        found = route_frames(key.route, self.world.routes[key.route], backends, defaults)
        parents = (parent for parent in self.parents[key.route] if parent.gateway == key.gateway)
        uses = {one.http for parent in parents for one in parent.attachments}
        clusters = (cluster._replace(connections=not http) for http in uses for cluster in found.clusters)
        return replace(found, clusters=frozenset(clusters))

    def _virtual_host(self, place: Place) -> VirtualHostFrame:
        table = self.host_tables[place]
        found = ((name, self.routes.get(Attached(place.table.gateway, name))) for name in self.routes_at.bucket(place))
        return virtual_host(place, table, {name: frames for name, frames in found if frames is not None})

    def _lifetimes_of(self, gateway: Name) -> tuple[tuple[Name, Lifetime], ...]:
        secrets = {secret for _, secret in _certificates(gateway, self.gateways[gateway])}
        found = ((secret, self._lifetimes.get(secret)) for secret in sorted(secrets))
        return tuple((secret, one) for secret, one in found if one is not None)

    def _reserved(self, table: Table) -> tuple[tuple[str, VirtualHostFrame], ...]:
        found: dict[str, VirtualHostFrame] = {}
        for host, home in reserved_names(self.gateways[table.gateway], table):
            if home != table or not self.routes_at.bucket(Place(table, host)):
                found[host] = reserved_host(host, elsewhere=home != table)
        return tuple(found.items())

    def _listener(self, key: Port) -> ListenerResult | None:
        made = envoy_listener(self.gateways[key.gateway], key.port, self._binding, tuple(self._forwards(key)))
        if made is None:
            return None
        listener, clusters = made
        depends = frozenset(map(names.cluster, clusters))
        return ListenerResult(encoded_resource(LISTENER, listener.name, listener, depends), clusters)

    def _forwards(self, key: Port) -> Iterator[Forward]:
        for place in self.places_of_port.bucket(key):
            first = self.connection_tables[place].order[0]
            backends = self.backends[first.route].rules[first.rule]
            listener = place.table.listener or next(one.name for one in self.gateways[key.gateway].serving(key.port))
            yield Forward(listener, place.host, backends)

    def _certificate(self, key: tuple[Name, Name]) -> Resource | None:
        entry = self.world.secrets.get(key[1])
        if entry is None or entry.spec is None:
            return None
        name = names.certificate(key[1])
        return encoded_resource(SECRET, name, secrets.certificate(name, entry.spec))


def _defaults(world: World, name: Name) -> Defaults | None:
    """A gateway's defaults, without the blocks no proxy would take: of a gateway that never had a good version."""
    serving = world.gateways[name].serving
    spec: EdgeGatewaySpec | None = serving.spec if serving is not None else None
    if serving is None or spec is None:
        return None
    broken = {str(problem.path[2]) for problem in serving.problems if problem.path[:2] == ("spec", "defaults")}
    defaults = spec.defaults or Defaults.model_construct()
    return defaults.model_copy(update=dict.fromkeys(broken)) if broken else defaults


def _attached(route: Name, parents: tuple[Parent, ...]) -> Iterator[Attached]:
    return (Attached(parent.gateway, route) for parent in parents if parent.attachments)


def _ports(name: Name, gateway: ResolvedGateway) -> Iterator[Port]:
    return (Port(name, port) for port in gateway.ports())


def _tables(name: Name, gateway: ResolvedGateway) -> Iterator[Table]:
    return (table_of(name, listener) for listener in gateway.serving() if listener.http)


def _certificates(name: Name, gateway: ResolvedGateway) -> Iterator[tuple[Name, Name]]:
    for listener in gateway.serving():
        if listener.tls is not None:
            yield from ((name, secret) for secret in listener.tls.certificates)


def _losers(_place: Place, table: HostTable) -> Iterator[Name]:
    return (clash.loser for clash in table.clashes)


def _listeners(_route: Name, parents: tuple[Parent, ...]) -> Iterator[tuple[Name, str]]:
    return ((parent.gateway, one.listener) for parent in parents for one in parent.attachments)
