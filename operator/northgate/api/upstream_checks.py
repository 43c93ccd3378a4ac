"""What is wrong with an Upstream that its schema cannot say? Addresses, durations and repeated endpoints."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from northgate.api.base import milliseconds
from northgate.api.conditions import Path, Problem, Reason
from northgate.api.upstream import UpstreamDefaults, UpstreamSpec

_HOUR = 3_600_000
_DAY = 24 * _HOUR

_NOT_FOR_REQUESTS = tuple(
    map(ip_network, ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/128", "fd00:ec2::/64", "fe80::/10", "ff00::/8"))
)
"""Unspecified, link-local, multicast and reserved networks, and those where clouds keep machines' credentials."""


def upstream_problems(spec: UpstreamSpec) -> Iterator[Problem]:
    """The problems of an Upstream, with paths relative to its spec."""
    for index, endpoint in enumerate(spec.static or ()):
        yield from _address(endpoint.address, ("static", index, "address"))
    yield from _repeated("static", ((one.address, one.port) for one in spec.static or ()))
    yield from _repeated("services", ((one.name, one.port) for one in spec.services or ()))
    yield from _weights_without_effect(spec)
    yield from _durations(_bounds(spec))


def defaults_problems(defaults: UpstreamDefaults) -> Iterator[Problem]:
    """The problems of what a gateway's backends inherit, with paths relative to the block."""
    yield from _durations(_connection_bounds(defaults))


@lru_cache(maxsize=1 << 17)
def usable_address(address: str) -> bool:
    """True for an IP address that requests may be sent to, however it is spelled.

    Link-local, multicast, unspecified and reserved addresses and those of clouds' metadata services are not.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    plain = _unwrapped(found)
    return not any(plain in network for network in _NOT_FOR_REQUESTS if network.version == plain.version)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address written as IPv6 is the same place."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _address(address: str, path: Path) -> Iterator[Problem]:
    try:
        plain = _unwrapped(ip_address(address))
    except ValueError:
        yield Problem(path, Reason.UNSUPPORTED_VALUE, f"{address!r} is not an IP address; for a name use dns")
        return
    if not usable_address(address):
        what = "is a link-local, multicast, unspecified or metadata address; use the address of an endpoint"
        yield Problem(path, Reason.UNSUPPORTED_VALUE, f"{address} {what}")
    elif plain.version == 4 and ":" in address:  # noqa: PLR2004 - the version of IP
        why = f"{address} is an IPv4 address in IPv6's spelling, to which proxies do not connect; write {plain}"
        yield Problem(path, Reason.UNSUPPORTED_VALUE, why)


def _repeated(field: str, entries: Iterable[Hashable]) -> Iterator[Problem]:
    first: dict[Hashable, int] = {}
    for index, entry in enumerate(entries):
        earlier = first.setdefault(entry, index)
        if earlier != index:
            yield Problem((field, index), Reason.UNSUPPORTED_VALUE, f"repeats {field}[{earlier}]; remove one of them")


def _weights_without_effect(spec: UpstreamSpec) -> Iterator[Problem]:
    if spec.load_balancer is None or spec.load_balancer.policy != "Random":
        return
    for index, endpoint in enumerate(spec.static or ()):
        if endpoint.weight is not None:
            why = "type Random knows no weights of endpoints; remove it or use another type"
            yield Problem(("static", index, "weight"), Reason.UNSUPPORTED_VALUE, why)


_Bound = tuple[Path, str | None, int, int]
"""Where a duration stands, the duration, and the shortest and longest one allowed in milliseconds."""


def _bounds(spec: UpstreamSpec) -> Iterator[_Bound]:
    yield from _connection_bounds(spec)
    yield ("idleTimeout",), spec.idle_timeout, 1, _DAY
    if spec.dns is not None:
        yield ("dns", "refresh"), spec.dns.refresh, 1000, _DAY
    balancer = spec.load_balancer
    if balancer is not None and balancer.slow_start is not None:
        yield ("loadBalancer", "slowStart", "window"), balancer.slow_start.window, 1, _HOUR
    hashed = balancer.consistent_hash if balancer is not None else None
    if hashed is not None and hashed.cookie is not None:
        yield ("loadBalancer", "consistentHash", "cookie", "ttl"), hashed.cookie.ttl, 0, 400 * _DAY
    active = spec.health_check.active if spec.health_check is not None else None
    if active is not None:
        yield ("healthCheck", "active", "interval"), active.interval, 100, _HOUR
        # A proxy confirms a new cluster when the first checks have ended, and its neighbours not before.
        yield ("healthCheck", "active", "timeout"), active.timeout, 10, 10_000


def _connection_bounds(block: UpstreamSpec | UpstreamDefaults) -> Iterator[_Bound]:
    yield ("connectTimeout",), block.connect_timeout, 1, 300_000
    passive = block.health_check.passive if block.health_check is not None else None
    if passive is not None:
        yield ("healthCheck", "passive", "interval"), passive.interval, 100, _HOUR
        if passive.ejection is not None:
            yield ("healthCheck", "passive", "ejection", "base"), passive.ejection.base, 1, _DAY


def _durations(bounds: Iterable[_Bound]) -> Iterator[Problem]:
    for path, duration, shortest, longest in bounds:
        if duration is not None and not shortest <= milliseconds(duration) <= longest:
            wanted = f"{duration} is out of range; write a time from {_spelled(shortest)} to {_spelled(longest)}"
            yield Problem(path, Reason.UNSUPPORTED_VALUE, wanted)


def _spelled(duration: int) -> str:
    for unit, length in (("h", _HOUR), ("m", 60_000), ("s", 1000)):
        if duration and duration % length == 0:
            return f"{duration // length}{unit}"
    return f"{duration}ms" if duration else "0s"
