"""Which addresses does a backend have? Those of its EndpointSlices that may be used, in groups with their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from northgate.api.kubernetes import Endpoint, EndpointSlice, Service
from northgate.api.upstream import ServiceSource, UpstreamSpec
from northgate.api.upstream_checks import usable_address
from northgate.world.store import World

_FINEST = 10_000
"""A Service's weight is split between its zones in steps of one part of this."""


class EndpointsKey(NamedTuple):
    """A set of endpoints: those of a Service's port, or of all Services of an Upstream (port 0)."""

    kind: str
    namespace: str
    name: str
    port: int


class Address(NamedTuple):
    """Where an endpoint listens."""

    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class EndpointGroup:
    """Endpoints of one priority in one place. `part` is the Service, where Services have weights of their own.

    `weight` is relative to the other groups of the priority.
    """

    priority: int
    region: str
    zone: str
    part: str
    weight: int
    addresses: tuple[Address, ...]


class _Found(NamedTuple):
    zone: str
    address: Address


def resolve_endpoints(world: World, key: EndpointsKey) -> tuple[EndpointGroup, ...]:
    """All endpoints that may be used, in a fixed order; an address counts once, where its priority is lowest."""
    if key.kind == "Service":
        alone = ServiceSource.model_construct(name=key.name, port=key.port)
        return tuple(_groups(world, key.namespace, (alone,)))
    entry = world.upstreams.get((key.namespace, key.name))
    spec: UpstreamSpec | None = entry.spec if entry is not None else None
    return tuple(_groups(world, key.namespace, (spec.services if spec is not None else None) or ()))


def dense_priorities(priorities: Iterable[int]) -> dict[int, int]:
    """Priorities as proxies want them, counted from 0 without gaps, whatever endpoints there are at the moment."""
    return {priority: rank for rank, priority in enumerate(sorted(set(priorities)))}


def _groups(world: World, namespace: str, sources: tuple[ServiceSource, ...]) -> Iterator[EndpointGroup]:
    ranks = dense_priorities(source.priority or 0 for source in sources)
    weighted = any(source.weight is not None for source in sources)
    seen: set[Address] = set()
    together: dict[tuple[int, str, str], set[Address]] = {}
    for source in sorted(sources, key=lambda source: source.priority or 0):
        own: dict[tuple[int, str, str], set[Address]] = {} if weighted else together
        for found in _usable(world, namespace, source):
            if found.address not in seen:
                seen.add(found.address)
                own.setdefault(_place(source, found, ranks), set()).add(found.address)
        if weighted:
            yield from _made(own, f"{source.name}/{source.port}", source.weight or 1)
    yield from _made(together, "", 0)


def _made(groups: dict[tuple[int, str, str], set[Address]], part: str, weight: int) -> Iterator[EndpointGroup]:
    total = sum(map(len, groups.values()))
    for place, addresses in sorted(groups.items()):
        share = max(1, weight * _FINEST * len(addresses) // total) if weight else len(addresses)
        yield EndpointGroup(*place, part, share, tuple(sorted(addresses)))


def _place(source: ServiceSource, found: _Found, ranks: dict[int, int]) -> tuple[int, str, str]:
    locality = source.locality
    region = (locality.region or "") if locality is not None else ""
    zone = locality.zone if locality is not None else None
    return ranks[source.priority or 0], region, found.zone if zone is None else zone


def _usable(world: World, namespace: str, source: ServiceSource) -> tuple[_Found, ...]:
    """Endpoints of a Service's port: ready ones, else those that are leaving but still serve, as kube-proxy does.

    Of a Service with two address families the first one that has any counts, so that no endpoint counts twice.
    """
    entry = world.services.get((namespace, source.name))
    service: Service | None = entry.spec if entry is not None else None
    port = service.port(source.port) if service is not None else None
    if service is None or port is None:
        return ()
    names = world.slices_of_service.bucket((namespace, source.name))
    slices: list[EndpointSlice] = [world.slices[name].spec for name in names]
    for condition in (_ready, _leaving):
        for family in _families(service):
            found = tuple(
                one
                for slice_ in slices
                if slice_.address_type == family
                for one in _of_slice(slice_, port.name, condition)
            )
            if found:
                return found
    return ()


def _families(service: Service) -> tuple[str, ...]:
    return ("IPv6", "IPv4") if service.ip_families[:1] == ("IPv6",) else ("IPv4", "IPv6")


def _of_slice(slice_: EndpointSlice, port_name: str, condition: Callable[[Endpoint], bool]) -> Iterator[_Found]:
    port = next((p.port for p in slice_.ports if (p.name or "") == port_name and p.protocol == "TCP"), None)
    if port is None:
        return
    for endpoint in slice_.endpoints:
        if condition(endpoint):
            yield from (
                _Found(endpoint.zone or "", Address(ip, port)) for ip in endpoint.addresses if usable_address(ip)
            )


def _ready(endpoint: Endpoint) -> bool:
    return endpoint.conditions.ready is not False


def _leaving(endpoint: Endpoint) -> bool:
    conditions = endpoint.conditions
    return conditions.terminating is True and conditions.serving is not False
