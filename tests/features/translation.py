"""What rules become: the Envoy routes and the conditions of one Route on one gateway, decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from tests.core.objects import gateway, route, service, to

from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import CLUSTER, LISTENER, ROUTE

ANSWER = {"respond": {"status": 204}}
FORWARD = to("web")
WEB = {"name": "web", "port": 80}
OTHER = {"name": "other", "port": 80}


def edge_with(*rules: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Edge:
    """Gateway `edge`, Services `web` and `other`, and the Route `site` with these rules."""
    edge = Edge()
    inherited = {"defaults": defaults} if defaults is not None else {}
    edge.apply([gateway(**inherited), service("web"), service("other"), route("site", *rules)])
    assert not edge.engine.failures, edge.engine.failures
    return edge


def virtual_host(edge: Edge) -> VirtualHost:
    """The only virtual host."""
    [tables] = [types[ROUTE] for types in edge.snapshots.resources.values()]
    [configuration] = [RouteConfiguration.FromString(table.body) for table in tables.values()]
    [host] = configuration.virtual_hosts
    return host


def routes(*rules: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> list[Route]:
    """The Envoy routes of these rules, in the order they are asked."""
    edge = edge_with(*rules, defaults=defaults)
    assert messages(edge) == []
    return list(virtual_host(edge).routes)


def rule(**blocks: Any) -> Route:
    """The Envoy route of one forwarding rule with these blocks."""
    [found] = routes(FORWARD | blocks)
    return found


def answer(**blocks: Any) -> Route:
    """The Envoy route of one rule that is nothing but these blocks."""
    [found] = routes(blocks)
    return found


def matched(**match: Any) -> Any:
    """The Envoy match of one match."""
    [found, *_] = routes({"matches": [match], **ANSWER})
    return found.match


def messages(edge: Edge) -> list[str]:
    """What the Route is told that is not good."""
    [facts] = [facts for _, facts in edge.compiler.route_facts.items()]
    bad = ("Accepted", "ResolvedRefs")
    return [
        condition.message
        for parent in facts.parents
        for condition in parent.conditions
        if (condition.type in bad) == (condition.status != "True")
    ]


def refused(**rule: Any) -> str:
    """What a Route with this one rule is told; fails when nothing is wrong with it."""
    return "\n".join(messages(edge_with(rule))) or "accepted"


def chain(edge: Edge) -> list[str]:
    """The names of the HTTP filters of the gateway's only listener, in order; all but the router are disabled."""
    [listeners] = [types[LISTENER] for types in edge.snapshots.resources.values()]
    [listener] = [Listener.FromString(one.body) for one in listeners.values()]
    manager = HttpConnectionManager()
    filter_chain = listener.filter_chains[0] if listener.filter_chains else listener.default_filter_chain
    filter_chain.filters[0].typed_config.Unpack(manager)
    assert [one.disabled for one in manager.http_filters] == [True] * (len(manager.http_filters) - 1) + [False]
    return [one.name for one in manager.http_filters]


def clusters(edge: Edge) -> set[str]:
    """The names of the clusters."""
    return {name for types in edge.snapshots.resources.values() for name in types[CLUSTER]}


def per_route(route: Route, name: str, message: Any) -> Any:
    """The route's own configuration of one filter, unpacked into `message`."""
    assert route.typed_per_filter_config[name].Unpack(message)
    return message
