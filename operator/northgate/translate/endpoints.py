"""Which addresses does a backend have? EndpointSlices become one cluster load assignment, without touching routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from northgate.api.kubernetes import Endpoint, EndpointSlice
from northgate.api.upstream import ServiceSource


class EndpointsKey(NamedTuple):
    """A set of endpoints: those of a Service's port, or of all Services of an Upstream (port 0)."""

    kind: str
    namespace: str
    name: str
    port: int


class SourceEndpoints(NamedTuple):
    """The slices of one Service, the name of the port that counts, and what the Upstream says of them."""

    source: ServiceSource | None
    port_name: str
    slices: tuple[EndpointSlice, ...]


def endpoints_name(key: EndpointsKey) -> str:
    """The name endpoints are asked for by."""
    name = f"{key.namespace}/{key.name.replace('.', '_')}"
    return f"{name}/{key.port}" if key.kind == "Service" else name


def load_assignment(key: EndpointsKey, sources: Iterable[SourceEndpoints]) -> endpoint_pb2.ClusterLoadAssignment:
    """All ready endpoints, grouped by priority and locality, in a fixed order."""
    groups: dict[tuple[int, str, str], set[tuple[str, int]]] = {}
    for source in sources:
        for slice_ in source.slices:
            _collect(groups, source, slice_)
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=endpoints_name(key))
    for (priority, region, zone), addresses in sorted(groups.items()):
        group = assignment.endpoints.add(priority=priority)
        group.locality.CopyFrom(base_pb2.Locality(region=region, zone=zone))
        group.load_balancing_weight.value = len(addresses)
        for address, port in sorted(addresses):
            endpoint = endpoint_components_pb2.LbEndpoint()
            endpoint.endpoint.address.socket_address.address = address
            endpoint.endpoint.address.socket_address.port_value = port
            group.lb_endpoints.append(endpoint)
    return assignment


def _collect(
    groups: dict[tuple[int, str, str], set[tuple[str, int]]], source: SourceEndpoints, slice_: EndpointSlice
) -> None:
    port = next((p.port for p in slice_.ports if (p.name or "") == source.port_name and p.protocol == "TCP"), None)
    if port is None or slice_.address_type not in ("IPv4", "IPv6"):
        return
    for endpoint in slice_.endpoints:
        if _usable(endpoint):
            priority, region, zone = _place(source.source, endpoint)
            groups.setdefault((priority, region, zone), set()).update((a, port) for a in endpoint.addresses)


def _usable(endpoint: Endpoint) -> bool:
    return endpoint.conditions.ready is not False


def _place(source: ServiceSource | None, endpoint: Endpoint) -> tuple[int, str, str]:
    locality = source.locality if source is not None else None
    region = (locality.region or "") if locality is not None else ""
    zone = (locality.zone or "") if locality is not None and locality.zone is not None else endpoint.zone or ""
    return (source.priority or 0) if source is not None else 0, region, zone
