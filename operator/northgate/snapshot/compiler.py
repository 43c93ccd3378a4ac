"""How do objects become resources? The stages of the compile in order, and what changed at its end.

Each line of `_declare_…` is one stage of the memoising engine; reading them in order is reading how data flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from northgate.api.gateway import Defaults, EdgeGatewaySpec
from northgate.api.upstream import UpstreamDefaults
from northgate.engine import Derived, Index
from northgate.resolve.attachment import Parent, Place, Table, attach, connection_places, http_places, table_of
from northgate.resolve.backends import ClusterKey, RouteBackends, resolve_backends
from northgate.resolve.facts import (
    GatewayFacts,
    RouteFacts,
    UpstreamFacts,
    gateway_facts,
    route_facts,
    upstream_facts,
)
from northgate.resolve.gateways import ResolvedGateway, resolve_gateway
from northgate.resolve.precedence import HostTable, Ranking, order_host, rank_route
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource, content_version
from northgate.translate import names, secrets, wire
from northgate.translate.clusters import Backend, endpoints_key, envoy_cluster
from northgate.translate.endpoints import EndpointsKey, SourceEndpoints, endpoints_name, load_assignment
from northgate.translate.listeners import Binding, Forward, envoy_listener
from northgate.translate.routes import RouteFrames, route_frames
from northgate.translate.virtual_hosts import VirtualHostFrame, misdirected, virtual_host
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


class ClusterResult(NamedTuple):
    """A cluster's resource and the endpoints it asks for."""

    resource: Resource
    endpoints: EndpointsKey | None


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
        self.backends: Derived[Name, RouteBackends] = engine.map(
            "backends", world.routes, lambda name: resolve_backends(world, name)
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
        self.tables: Index[Table, Name] = engine.index(self.gateways, _tables)
        self.misdirected: Derived[Table, tuple[tuple[str, VirtualHostFrame], ...]] = engine.group(
            "misdirected hosts", self.tables, lambda table: tuple(misdirected(self.gateways[table.gateway], table))
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
        self._by_route: Index[tuple[Name, ClusterKey], Attached] = engine.index(
            self.routes, lambda key, frames: ((key.gateway, cluster) for cluster in frames.clusters)
        )
        self.clusters: Derived[tuple[Name, ClusterKey], ClusterResult] = engine.group(
            "clusters", self._by_route, self._cluster
        )
        self._by_endpoints: Index[EndpointsKey, tuple[Name, ClusterKey]] = engine.index(
            self.clusters, lambda _, found: (found.endpoints,) if found.endpoints is not None else ()
        )
        self.assignments: Derived[EndpointsKey, Resource] = engine.group(
            "assignments", self._by_endpoints, self._assignment
        )
        self._by_gateway_endpoints: Index[tuple[Name, EndpointsKey], tuple[Name, ClusterKey]] = engine.index(
            self.clusters, lambda key, found: ((key[0], found.endpoints),) if found.endpoints is not None else ()
        )
        self.endpoints: Derived[tuple[Name, EndpointsKey], Resource] = engine.group(
            "endpoints", self._by_gateway_endpoints, lambda key: self.assignments[key[1]]
        )
        self._by_certificate: Index[tuple[Name, Name], Name] = engine.index(self.gateways, _certificates)
        self.certificates: Derived[tuple[Name, Name], Resource] = engine.group(
            "certificates", self._by_certificate, self._certificate
        )

    def _declare_facts(self) -> None:
        engine = self.world.engine
        self._clashes_at: Index[Name, Place] = engine.index(self.host_tables, _losers)
        self._connection_clashes_at: Index[Name, Place] = engine.index(self.connection_tables, _losers)
        self._attached_to: Index[tuple[Name, str], Name] = engine.index(self.parents, _listeners)
        self.route_facts: Derived[Name, RouteFacts] = engine.map("route facts", self.world.routes, self._route_facts)
        self.gateway_facts: Derived[Name, GatewayFacts] = engine.map(
            "gateway facts", self.world.gateways, self._gateway_facts
        )
        self.upstream_facts: Derived[Name, UpstreamFacts] = engine.map(
            "upstream facts", self.world.upstreams, lambda name: upstream_facts(self.world.upstreams[name])
        )
        self._routes_by_gateway: Index[Name, Name] = engine.index(
            self.parents, lambda _, parents: {parent.gateway for parent in parents}
        )

    def routes_of(self, gateway: Name) -> tuple[Name, ...]:
        """The Routes that refer to a gateway, attached or not."""
        return self._routes_by_gateway.bucket(gateway)

    def _route_facts(self, name: Name) -> RouteFacts:
        clashes = [
            clash
            for places, tables in (
                (self._clashes_at, self.host_tables),
                (self._connection_clashes_at, self.connection_tables),
            )
            for place in places.bucket(name)
            for clash in tables[place].clashes
            if clash.loser == name
        ]
        entry = self.world.routes[name]
        return route_facts(entry, self.parents.get(name), self.backends.get(name), tuple(clashes))

    def _gateway_facts(self, name: Name) -> GatewayFacts:
        gateway = self.gateways.get(name)
        listeners = gateway.listeners if gateway is not None else ()
        attached = {one.name: len(self._attached_to.bucket((name, one.name))) for one in listeners}
        return gateway_facts(self.world.gateways[name], gateway, attached)

    def _route_frames(self, key: Attached) -> RouteFrames | None:
        backends = self.backends.get(key.route)
        defaults = self.defaults.get(key.gateway)
        if backends is None or defaults is None:
            return None
        return route_frames(key.route, self.world.routes[key.route], backends, defaults)

    def _virtual_host(self, place: Place) -> VirtualHostFrame:
        table = self.host_tables[place]
        found = ((name, self.routes.get(Attached(place.table.gateway, name))) for name in self.routes_at.bucket(place))
        return virtual_host(place, table, {name: frames for name, frames in found if frames is not None})

    def _listener(self, key: Port) -> ListenerResult | None:
        made = envoy_listener(self.gateways[key.gateway], key.port, self._binding, tuple(self._forwards(key)))
        if made is None:
            return None
        listener, clusters = made
        depends = frozenset(map(names.cluster, clusters))
        return ListenerResult(_resource(LISTENER, listener.name, wire.encode(listener), depends), clusters)

    def _forwards(self, key: Port) -> Iterator[Forward]:
        for place in self.places_of_port.bucket(key):
            first = self.connection_tables[place].order[0]
            backends = self.backends[first.route].rules[first.rule]
            if backends.targets:
                listener = place.table.listener or next(
                    one.name for one in self.gateways[key.gateway].serving(key.port)
                )
                yield Forward(listener, place.host, backends)

    def _cluster(self, bucket: tuple[Name, ClusterKey]) -> ClusterResult | None:
        gateway, key = bucket
        backend = self._backend(gateway, key)
        if backend is None:
            return None
        cluster = envoy_cluster(backend)
        endpoints = endpoints_key(backend)
        depends = frozenset((endpoints_name(endpoints),)) if endpoints is not None else frozenset()
        return ClusterResult(_resource(CLUSTER, cluster.name, wire.encode(cluster), depends), endpoints)

    def _backend(self, gateway: Name, key: ClusterKey) -> Backend | None:
        inherited = self.defaults.get(gateway)
        defaults = (inherited.upstream if inherited is not None else None) or UpstreamDefaults.model_construct()
        place = (key.namespace, key.name)
        if key.kind == "Upstream":
            entry = self.world.upstreams.get(place)
            return None if entry is None else Backend(key, entry.spec, None, defaults)
        entry = self.world.services.get(place)
        port = entry.spec.port(key.port) if entry is not None and entry.spec is not None else None
        return None if port is None else Backend(key, None, port.app_protocol, defaults)

    def _assignment(self, key: EndpointsKey) -> Resource:
        assignment = load_assignment(key, self._sources(key))
        return _resource(ENDPOINT, assignment.cluster_name, wire.encode(assignment))

    def _sources(self, key: EndpointsKey) -> Iterator[SourceEndpoints]:
        if key.kind == "Service":
            yield self._source(key.namespace, key.name, key.port)._replace(source=None)
            return
        entry = self.world.upstreams.get((key.namespace, key.name))
        for source in (entry.spec.services or ()) if entry is not None and entry.spec is not None else ():
            yield self._source(key.namespace, source.name, source.port)._replace(source=source)

    def _source(self, namespace: str, service: str, port: int) -> SourceEndpoints:
        entry = self.world.services.get((namespace, service))
        found = entry.spec.port(port) if entry is not None and entry.spec is not None else None
        slices = self.world.slices_of_service.bucket((namespace, service)) if found is not None else ()
        return SourceEndpoints(
            None, found.name if found is not None else "", tuple(self.world.slices[one].spec for one in slices)
        )

    def _certificate(self, key: tuple[Name, Name]) -> Resource | None:
        entry = self.world.secrets.get(key[1])
        if entry is None or entry.spec is None:
            return None
        return _resource(SECRET, names.certificate(key[1]), wire.encode(secrets.certificate(key[1], entry.spec)))


def _resource(type_url: str, name: str, body: bytes, depends: frozenset[str] = frozenset()) -> Resource:
    return Resource(type_url, name, content_version(body), body, depends)


def _defaults(world: World, name: Name) -> Defaults | None:
    spec: EdgeGatewaySpec | None = world.gateways[name].spec
    return None if spec is None else spec.defaults or Defaults.model_construct()


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
