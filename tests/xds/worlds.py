"""What is published in the tests: small, closed worlds of clusters, endpoints, listeners and routes, as protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from northgate.snapshot.resource import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    SECRET,
    Delta,
    Resource,
    TypeDelta,
    content_version,
)

BAD = "bad"
"""The salt of content that every proxy of these tests refuses."""

MESSAGES: Mapping[str, Any] = {
    CLUSTER: Cluster,
    ENDPOINT: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTE: RouteConfiguration,
    SECRET: Secret,
}
World = Mapping[str, Mapping[str, Resource]]


def resource(type_url: str, message: Any, depends: Iterable[str] = ()) -> Resource:
    body = message.SerializeToString(deterministic=True)
    name = message.cluster_name if type_url == ENDPOINT else message.name
    return Resource(type_url, name, content_version(type_url.encode(), body), body, frozenset(depends))


def cluster(name: str, salt: str = "") -> Resource:
    message = Cluster(name=name, alt_stat_name=salt, type=Cluster.EDS)
    message.eds_cluster_config.service_name = name
    return resource(CLUSTER, message, [name])


def assignment(name: str, salt: str = "") -> Resource:
    message = ClusterLoadAssignment(cluster_name=name)
    endpoint = message.endpoints.add().lb_endpoints.add().endpoint
    endpoint.hostname = salt
    endpoint.address.socket_address.address = "127.0.0.1"
    return resource(ENDPOINT, message)


def route(name: str, clusters: Iterable[str], salt: str = "") -> Resource:
    message = RouteConfiguration(name=name)
    host = message.virtual_hosts.add(name=salt or "all", domains=["*"])
    for used in clusters:
        host.routes.add(match={"prefix": "/"}, route={"cluster": used})
    return resource(ROUTE, message, clusters)


def listener(name: str, routes: Iterable[str], clusters: Iterable[str] = (), salt: str = "") -> Resource:
    prefix = "|".join((salt, ",".join(sorted(routes)), ",".join(sorted(clusters))))
    return resource(LISTENER, Listener(name=name, stat_prefix=prefix), clusters)


def secret(name: str, salt: str = "") -> Resource:
    return resource(SECRET, Secret(name=name, generic_secret={"secret": {"inline_string": salt}}))


def used_by(type_url: str, message: Any) -> frozenset[str]:
    """The clusters a route or listener uses."""
    if type_url == ROUTE:
        return frozenset(entry.route.cluster for host in message.virtual_hosts for entry in host.routes)
    if type_url == LISTENER:
        return frozenset(filter(None, message.stat_prefix.split("|")[2].split(",")))
    return frozenset()


def routes_of(message: Any) -> frozenset[str]:
    """The route configurations a listener asks for."""
    return frozenset(filter(None, message.stat_prefix.split("|")[1].split(",")))


def salt_of(type_url: str, message: Any) -> str:
    if type_url == CLUSTER:
        return str(message.alt_stat_name)
    if type_url == LISTENER:
        return str(message.stat_prefix.split("|")[0])
    if type_url == ROUTE:
        return str(message.virtual_hosts[0].name) if message.virtual_hosts else ""
    return str(message.endpoints[0].lb_endpoints[0].endpoint.hostname) if message.endpoints else ""


def world(*resources: Resource) -> World:
    types: dict[str, dict[str, Resource]] = {}
    for one in resources:
        types.setdefault(one.type_url, {})[one.name] = one
    return types


def change(old: World, new: World) -> Delta:
    """The delta between two worlds."""
    types = {}
    for type_url in {*old, *new}:
        before, after = old.get(type_url, {}), new.get(type_url, {})
        changed = {name: one for name, one in after.items() if before.get(name) != one}
        part = TypeDelta(changed, frozenset(before.keys() - after.keys()))
        if part:
            types[type_url] = part
    return Delta(types)
