"""Which objects are measured? Two workloads of any size: W1 shares one Service, W2 has one Service for each Route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from northgate.world.key import ObjectKey

Workload = Literal["W1", "W2"]
WORKLOADS: tuple[Workload, ...] = ("W1", "W2")
GATEWAY = ("edge", "edge")
PORT = 80
TAG = "x-tag"

Object = tuple[ObjectKey, dict[str, Any]]

_NAMESPACE = "shop"
_SHARED = "shared"


@dataclass(frozen=True, slots=True)
class World:
    """A workload with `routes` Routes; `upstream` is the port on 127.0.0.1 that answers for every Service."""

    workload: Workload
    routes: int
    upstream: int = 9

    def objects(self) -> Iterator[Object]:
        """Everything, the gateway first."""
        yield _own("EdgeGateway", GATEWAY[0], GATEWAY[1], {"listeners": [_LISTENER]})
        yield from self.backend(_SHARED)
        for number in range(self.routes):
            if self.workload == "W2":
                yield from self.backend(f"service-{number}")
            yield self.route(number)

    def route(self, number: int, tag: str = "0") -> Object:
        """A Route with a hostname of its own; its responses carry the tag. Its second rule has no backend."""
        service = f"service-{number}" if self.workload == "W2" else _SHARED
        rules = [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": service, "port": PORT}],
                "responseHeaders": {"set": [{"name": TAG, "value": tag}]},
            },
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/missing"}}],
                "backendRefs": [{"name": "missing", "port": PORT}],
            },
        ]
        parent = {"namespace": GATEWAY[0], "name": GATEWAY[1]}
        spec = {"parentRefs": [parent], "hostnames": [hostname(number)], "rules": rules}
        return _own("Route", _NAMESPACE, f"route-{number}", spec)

    def added(self, number: int) -> Iterator[Object]:
        """What one more Route needs: in W2 also its Service and endpoints."""
        if self.workload == "W2":
            yield from self.backend(f"service-{number}")
        yield self.route(number)

    def backend(self, name: str, port: int | None = None) -> Iterator[Object]:
        """A Service and its EndpointSlice with three addresses."""
        spec = {"ports": [{"name": "http", "port": PORT}]}
        yield _object(ObjectKey("", "Service", _NAMESPACE, name), "v1", {"spec": spec})
        yield self.slice(name, port or self.upstream)

    def slice(self, service: str, port: int) -> Object:
        """The endpoints of a Service: three addresses of this machine."""
        key, document = _object(
            ObjectKey("discovery.k8s.io", "EndpointSlice", _NAMESPACE, service),
            "discovery.k8s.io/v1",
            {
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": port}],
                "endpoints": [{"addresses": [f"127.0.0.{last}"], "conditions": {"ready": True}} for last in (1, 2, 3)],
            },
        )
        document["metadata"]["labels"] = {"kubernetes.io/service-name": service}
        return key, document


_LISTENER = {"name": "http", "port": PORT, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}


def hostname(number: int) -> str:
    """The hostname of a Route."""
    return f"host-{number}.bench.example"


def _own(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Object:
    return _object(ObjectKey("northgate.dev", kind, namespace, name), "northgate.dev/v1alpha1", {"spec": spec})


def _object(key: ObjectKey, version: str, fields: dict[str, Any]) -> Object:
    metadata = {"namespace": key.namespace, "name": key.name, "creationTimestamp": "2025-01-01T00:00:00Z"}
    return key, {"apiVersion": version, "kind": key.kind, "metadata": metadata, **fields}
