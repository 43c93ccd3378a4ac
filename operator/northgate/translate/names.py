"""What are things called in Envoy? Every name is minted here; names are readable, stable and free of dots.

Kubernetes names may hold dots, which Envoy's statistics split at; they become underscores, which Kubernetes names never
hold, so two objects never share a name.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import assert_never

from northgate.resolve.attachment import Table
from northgate.resolve.backends import ClusterKey
from northgate.resolve.endpoints import EndpointsKey
from northgate.resolve.upstreams import Authorities, ClientCertificate, Credential
from northgate.world.store import Name

XDS_CLUSTER = "xds_cluster"

NOWHERE = "northgate-missing-backend"
"""A cluster that never exists: connections forwarded to it are closed. Names of backends have a slash, so it is free.
"""


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
    """`namespace/service/port` or `namespace/upstream`, with a short hash where a policy tells clusters apart.

    One for connections ends in `/tcp`.
    """
    name = _plain((key.namespace, key.name))
    if key.kind == "Service":
        name += f"/{key.port}"
    if key.retry_budget:
        name += "/" + blake2b(repr(key.retry_budget).encode(), digest_size=4).hexdigest()
    return f"{name}/tcp" if key.connections else name


def endpoints(key: EndpointsKey) -> str:
    """The endpoints of a backend: one name for all of its clusters, whatever their policies."""
    name = _plain((key.namespace, key.name))
    return f"{name}/{key.port}" if key.kind == "Service" else name


def certificate(secret: Name) -> str:
    """A certificate that listeners serve."""
    return f"listener/{secret[0]}/{secret[1]}"


def credential(what: Credential) -> str:
    """What is shown to endpoints, or what their certificates are verified with."""
    match what:
        case ClientCertificate(secret=secret):
            return f"upstream/{secret[0]}/{secret[1]}"
        case Authorities(holders=holders):
            return "ca/" + ",".join(f"{one.kind.lower()}/{one.namespace}/{one.name}" for one in holders)
        case _:
            assert_never(what)


def rule(route: Name, number: int, name: str | None) -> str:
    """A rule of a Route."""
    return f"{route[0]}/{route[1]}/{name or number}"


def _plain(name: Name) -> str:
    return f"{name[0]}/{name[1].replace('.', '_')}"
