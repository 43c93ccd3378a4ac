"""How are a backend's addresses told to Envoy? As one cluster load assignment, without touching clusters or routes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from northgate.api.upstream import Dns, StaticEndpoint
from northgate.resolve.endpoints import Address, EndpointGroup, EndpointsKey, dense_priorities
from northgate.translate import names, wire

_ENDPOINTS_FIELD = 2
_LB_ENDPOINTS_FIELD = 2


def load_assignment(key: EndpointsKey, groups: Iterable[EndpointGroup]) -> bytes:
    """Endpoints of Services as an encoded assignment, a locality for each group.

    It is joined from encoded endpoints: of ten thousand only those that are new are made.
    """
    parts = [wire.encode(endpoint_pb2.ClusterLoadAssignment(cluster_name=names.endpoints(key)))]
    for group in groups:
        place = endpoint_components_pb2.LocalityLbEndpoints(priority=group.priority)
        place.locality.CopyFrom(base_pb2.Locality(region=group.region, zone=group.zone, sub_zone=group.part))
        place.load_balancing_weight.value = group.weight
        endpoints = b"".join(_frame(address) for address in group.addresses)
        parts.append(wire.field(_ENDPOINTS_FIELD, wire.encode(place) + endpoints))
    return b"".join(parts)


@lru_cache(maxsize=1 << 17)
def _frame(address: Address) -> bytes:
    """An endpoint as a piece of its locality."""
    return wire.field(_LB_ENDPOINTS_FIELD, wire.encode(_endpoint(address.ip, address.port)))


def static_assignment(name: str, endpoints: tuple[StaticEndpoint, ...]) -> endpoint_pb2.ClusterLoadAssignment:
    """Endpoints that an Upstream lists itself, in a fixed order."""
    ranks = dense_priorities(one.priority or 0 for one in endpoints)
    groups: dict[tuple[int, str, str], list[StaticEndpoint]] = {}
    for one in endpoints:
        region, zone = (one.locality.region, one.locality.zone) if one.locality is not None else ("", "")
        groups.setdefault((ranks[one.priority or 0], region or "", zone or ""), []).append(one)
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    for (priority, region, zone), members in sorted(groups.items(), key=lambda group: group[0]):
        locality = assignment.endpoints.add(priority=priority)
        locality.locality.CopyFrom(base_pb2.Locality(region=region, zone=zone))
        for one in members:
            found = _endpoint(one.address, one.port)
            found.load_balancing_weight.value = one.weight or 1
            locality.lb_endpoints.append(found)
    return assignment


def dns_assignment(name: str, dns: Dns) -> endpoint_pb2.ClusterLoadAssignment:
    """A name whose addresses the proxy finds by itself."""
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    assignment.endpoints.add().lb_endpoints.append(_endpoint(dns.hostname, dns.port))
    return assignment


def _endpoint(address: str, port: int) -> endpoint_components_pb2.LbEndpoint:
    found = endpoint_components_pb2.LbEndpoint()
    found.endpoint.address.socket_address.address = address
    found.endpoint.address.socket_address.port_value = port
    return found
