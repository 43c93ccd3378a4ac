"""Is this text a network? And how does Envoy write one?"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from envoy.config.core.v3.address_pb2 import CidrRange

from northgate.api.conditions import Path, Problem, Reason


def network_problem(network: str, path: Path) -> Iterable[Problem]:
    """The problem with an address or range, if there is one: a typing error, or bits set behind the prefix."""
    try:
        ip_network(network)
    except ValueError:
        yield Problem(path, Reason.UNSUPPORTED_VALUE, f"{network} is not a network; {_meant(network)}")


def _meant(network: str) -> str:
    try:
        return f"bits are set behind its prefix: did you mean {ip_network(network, strict=False)}?"
    except ValueError:
        return 'write one such as "192.0.2.7", "10.0.0.0/8" or "2001:db8::/32"'


def cidr_range(network: str) -> CidrRange:
    """A valid network as Envoy's CidrRange."""
    found = ip_network(network)
    written = CidrRange(address_prefix=str(found.network_address))
    written.prefix_len.value = found.prefixlen
    return written
