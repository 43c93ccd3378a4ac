"""What does Envoy know of one hostname? A virtual host, joined from the encoded routes of its Routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from northgate.resolve.attachment import Place, Table
from northgate.resolve.precedence import HostTable
from northgate.translate import names, wire
from northgate.translate.filters import enable_client_address
from northgate.translate.routes import RouteFrames
from northgate.world.store import Name

_VIRTUAL_HOSTS_FIELD = 2
_ROUTES_FIELD = 3
_MISDIRECTED = 421


@dataclass(frozen=True, slots=True)
class VirtualHostFrame:
    """A virtual host as a piece of its RouteConfiguration, and the clusters it sends requests to."""

    frame: bytes
    clusters: frozenset[str]


def virtual_host(place: Place, table: HostTable, routes: Mapping[Name, RouteFrames]) -> VirtualHostFrame:
    """The virtual host of one hostname: its routes in order of precedence. A Route without frames has no part."""
    host = rc.VirtualHost(name=place.host, domains=[place.host])
    order = [ranked for ranked in table.order if ranked.route in routes]
    needs_client = any(ranked.rule in routes[ranked.route].needs_client for ranked in order)
    if needs_client:
        enable_client_address(host)
    parts = [wire.encode(host)]
    parts.extend(routes[ranked.route].frames[ranked.rule][ranked.match] for ranked in order)
    if needs_client:
        parts.append(_not_found())
    clusters = frozenset[str]().union(*(frames.names for frames in routes.values()))
    return VirtualHostFrame(wire.field(_VIRTUAL_HOSTS_FIELD, b"".join(parts)), clusters)


def reserved_host(hostname: str, *, elsewhere: bool) -> VirtualHostFrame:
    """A hostname that no wider one may answer for: 404 until a Route claims it.

    `elsewhere`, under another listener's certificate, it is 421 instead, which sends the client there: without it a
    client that reuses a connection for another host of the same address would get 404, or a neighbour's answer.
    """
    host = rc.VirtualHost(name=f"{hostname} reserved", domains=[hostname])
    if elsewhere:
        host.routes.add(match=rc.RouteMatch(prefix="/")).direct_response.status = _MISDIRECTED
    return VirtualHostFrame(wire.field(_VIRTUAL_HOSTS_FIELD, wire.encode(host)), frozenset())


def _not_found() -> bytes:
    """A last route for every request: its host's filter settings count only where some route matches."""
    route = rc.Route(match=rc.RouteMatch(prefix="/"))
    route.direct_response.status = 404
    return wire.field(_ROUTES_FIELD, wire.encode(route))


def route_configuration_header(table: Table) -> bytes:
    """The fields of a RouteConfiguration before its virtual hosts."""
    return wire.encode(RouteConfiguration(name=names.table(table)))
