"""How do backends become clusters, endpoints and credentials? The stages that follow from the clusters routes name.

Endpoints are computed on their own: a changed EndpointSlice touches one assignment and neither cluster nor route.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from northgate.api.gateway import Defaults
from northgate.api.upstream import UpstreamDefaults
from northgate.engine import Collection, Derived, Index
from northgate.resolve.backends import ClusterKey
from northgate.resolve.endpoints import EndpointGroup, EndpointsKey, resolve_endpoints
from northgate.resolve.upstreams import (
    Authorities,
    ClientCertificate,
    Credential,
    ResolvedUpstream,
    authorities_of,
    resolve_upstream,
)
from northgate.snapshot.resource import CLUSTER, ENDPOINT, SECRET, Resource, encoded_resource
from northgate.translate import names, secrets
from northgate.translate.clusters import Backend, endpoints_key, envoy_cluster
from northgate.translate.endpoints import load_assignment
from northgate.world.store import Name, World

_NO_DEFAULTS = UpstreamDefaults.model_construct()


class ClusterOf(NamedTuple):
    """A cluster of a gateway's proxies."""

    gateway: Name
    cluster: ClusterKey


class ClusterResult(NamedTuple):
    """A cluster's resource, the endpoints it asks for and the credentials it needs."""

    resource: Resource
    endpoints: EndpointsKey | None
    credentials: tuple[Credential, ...]


class ResolvedUpstreams:
    """The stages before any route is looked at: what Upstreams refer to, and which endpoints their Services have."""

    def __init__(self, world: World) -> None:
        engine = world.engine
        self.resolved: Derived[Name, ResolvedUpstream] = engine.map(
            "upstreams resolved", world.upstreams, lambda name: resolve_upstream(world, name)
        )
        self.endpoints: Derived[Name, tuple[EndpointGroup, ...]] = engine.map(
            "endpoints of upstreams",
            world.upstreams,
            lambda name: resolve_endpoints(world, EndpointsKey("Upstream", *name, 0)),
        )


class UpstreamStages:
    """The stages behind the clusters that `used` names for each gateway."""

    def __init__(
        self,
        world: World,
        defaults: Collection[Name, Defaults],
        upstreams: ResolvedUpstreams,
        used: Index[ClusterOf, Any],
    ) -> None:
        self._world = world
        self._defaults = defaults
        self._upstreams = upstreams
        self.clusters: Derived[ClusterOf, ClusterResult] = world.engine.group("clusters", used, self._cluster)
        self._declare_endpoints()
        self._declare_credentials()

    def _declare_endpoints(self) -> None:
        engine = self._world.engine
        by_key: Index[EndpointsKey, ClusterOf] = engine.index(self.clusters, lambda _, found: _endpoints(found))
        self.assignments: Derived[EndpointsKey, Resource] = engine.group("assignments", by_key, self._assignment)
        by_gateway: Index[tuple[Name, EndpointsKey], ClusterOf] = engine.index(
            self.clusters, lambda key, found: ((key.gateway, one) for one in _endpoints(found))
        )
        self.endpoints: Derived[tuple[Name, EndpointsKey], Resource] = engine.group(
            "endpoints", by_gateway, lambda key: self.assignments[key[1]]
        )

    def _declare_credentials(self) -> None:
        engine = self._world.engine
        by_credential: Index[Credential, ClusterOf] = engine.index(self.clusters, lambda _, found: found.credentials)
        self._encoded: Derived[Credential, Resource] = engine.group(
            "credentials encoded", by_credential, self._credential
        )
        by_gateway: Index[tuple[Name, Credential], ClusterOf] = engine.index(
            self.clusters, lambda key, found: ((key.gateway, one) for one in found.credentials)
        )
        self.credentials: Derived[tuple[Name, Credential], Resource] = engine.group(
            "credentials", by_gateway, lambda key: self._encoded.get(key[1])
        )

    def _cluster(self, key: ClusterOf) -> ClusterResult | None:
        backend = self._backend(key)
        if backend is None:
            return None
        cluster = envoy_cluster(backend)
        endpoints = endpoints_key(backend)
        depends = frozenset((names.endpoints(endpoints),)) if endpoints is not None else frozenset()
        credentials = backend.trust.credentials() if backend.trust is not None else ()
        return ClusterResult(encoded_resource(CLUSTER, cluster.name, cluster, depends), endpoints, credentials)

    def _backend(self, key: ClusterOf) -> Backend | None:
        inherited = self._defaults.get(key.gateway)
        defaults = (inherited.upstream if inherited is not None else None) or _NO_DEFAULTS
        place = (key.cluster.namespace, key.cluster.name)
        if key.cluster.kind == "Upstream":
            found = self._upstreams.resolved.get(place)
            # A route never names an unusable Upstream; should it ever, nothing may be sent unverified.
            if found is None or found.unusable is not None:
                return None
            return Backend(key.cluster, found.spec, None, defaults, found.trust)
        entry = self._world.services.get(place)
        port = entry.spec.port(key.cluster.port) if entry is not None and entry.spec is not None else None
        return None if port is None else Backend(key.cluster, None, port.app_protocol, defaults)

    def _assignment(self, key: EndpointsKey) -> Resource:
        if key.kind == "Upstream":
            groups = self._upstreams.endpoints.get((key.namespace, key.name)) or ()
        else:
            groups = resolve_endpoints(self._world, key)
        return encoded_resource(ENDPOINT, names.endpoints(key), load_assignment(key, groups))

    def _credential(self, what: Credential) -> Resource | None:
        name = names.credential(what)
        match what:
            case ClientCertificate(secret=secret):
                entry = self._world.secrets.get(secret)
                if entry is None or entry.spec is None:
                    return None
                return encoded_resource(SECRET, name, secrets.certificate(name, entry.spec))
            case Authorities(holders=holders):
                found = (authorities_of(self._world, holder) for holder in holders)
                bundles = [bundle for bundle in found if bundle is not None]
                return encoded_resource(SECRET, name, secrets.authorities(name, bundles)) if bundles else None


def _endpoints(found: ClusterResult) -> Iterator[EndpointsKey]:
    if found.endpoints is not None:
        yield found.endpoints
