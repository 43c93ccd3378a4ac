"""What are things called in Envoy? Every name is minted here; names are readable, stable and free of dots.

Kubernetes names may hold dots, which Envoy's statistics split at; they become underscores, which Kubernetes names never
hold, so two objects never share a name.
"""

from __future__ import annotations

from hashlib import blake2b

from northgate.resolve.attachment import Table
from northgate.resolve.backends import ClusterKey
from northgate.world.store import Name

XDS_CLUSTER = "xds_cluster"


def group(gateway: Name) -> str:
    """The xDS group of a gateway's proxies: their `node.cluster`."""
    return f"{gateway[0]}/{gateway[1]}"


def listener(gateway: Name, port: int) -> str:
    """A listener of a gateway."""
    return f"{_plain(gateway)}/{port}"


def table(place: Table) -> str:
    """The RouteConfiguration, or filter chain, of a table."""
    name = listener(place.gateway, place.port)
    return f"{name}/{place.listener}" if place.listener else name


def cluster(key: ClusterKey) -> str:
    """`namespace/service/port` or `namespace/upstream`, with a short hash where a policy tells clusters apart."""
    name = _plain((key.namespace, key.name))
    if key.kind == "Service":
        name += f"/{key.port}"
    if key.retry_budget is not None:
        name += "/" + blake2b(repr(key.retry_budget).encode(), digest_size=4).hexdigest()
    return name


def certificate(secret: Name) -> str:
    """A certificate that listeners serve."""
    return f"listener/{secret[0]}/{secret[1]}"


def rule(route: Name, number: int, name: str | None) -> str:
    """A rule of a Route."""
    return f"{route[0]}/{route[1]}/{name or number}"


def _plain(name: Name) -> str:
    return f"{name[0]}/{name[1].replace('.', '_')}"
