"""How does a proxy reach a backend? One cluster for each backend, port and policy, shared by all rules."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as hpo

from northgate.api.base import milliseconds
from northgate.api.upstream import CircuitBreaker, StaticEndpoint, UpstreamDefaults, UpstreamSpec
from northgate.resolve.backends import ClusterKey
from northgate.translate import names
from northgate.translate.endpoints import EndpointsKey, endpoints_name
from northgate.translate.sources import ads

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2_APP_PROTOCOLS = frozenset({"kubernetes.io/h2c", "h2c", "grpc", "http2"})


@dataclass(frozen=True, slots=True)
class Backend:
    """What a cluster is made from: a Service's application protocol or an Upstream, and the gateway's defaults."""

    key: ClusterKey
    upstream: UpstreamSpec | None
    app_protocol: str | None
    defaults: UpstreamDefaults


def envoy_cluster(backend: Backend) -> cluster_pb2.Cluster:
    """The cluster of a backend."""
    cluster = cluster_pb2.Cluster(name=names.cluster(backend.key))
    upstream = backend.upstream or UpstreamSpec.model_construct()
    timeout = upstream.connect_timeout or backend.defaults.connect_timeout or "2s"
    cluster.connect_timeout.FromMilliseconds(milliseconds(timeout))
    cluster.per_connection_buffer_limit_bytes.value = 32_768
    _discovery(cluster, backend)
    _protocol(cluster, upstream, backend.app_protocol)
    _limits(cluster, upstream.circuit_breaker or backend.defaults.circuit_breaker or CircuitBreaker(), backend.key)
    return cluster


def _discovery(cluster: cluster_pb2.Cluster, backend: Backend) -> None:
    key = endpoints_key(backend)
    if key is not None:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        cluster.eds_cluster_config.service_name = endpoints_name(key)
    elif backend.upstream is not None and backend.upstream.static is not None:
        cluster.type = cluster_pb2.Cluster.STATIC
        cluster.load_assignment.CopyFrom(_static(cluster.name, backend.upstream.static))
    elif backend.upstream is not None and backend.upstream.dns is not None:
        cluster.type = cluster_pb2.Cluster.STRICT_DNS
        dns = backend.upstream.dns
        assignment = cluster.load_assignment
        assignment.cluster_name = cluster.name
        endpoint = assignment.endpoints.add().lb_endpoints.add().endpoint
        endpoint.address.socket_address.address = dns.hostname
        endpoint.address.socket_address.port_value = dns.port


def endpoints_key(backend: Backend) -> EndpointsKey | None:
    """Which endpoints the cluster asks for by EDS; None when it finds them by itself."""
    key = backend.key
    if key.kind == "Service":
        return EndpointsKey("Service", key.namespace, key.name, key.port)
    if backend.upstream is not None and backend.upstream.services is not None:
        return EndpointsKey("Upstream", key.namespace, key.name, 0)
    return None


def _static(name: str, endpoints: tuple[StaticEndpoint, ...]) -> endpoint_pb2.ClusterLoadAssignment:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    for one in endpoints:
        group = assignment.endpoints.add(priority=one.priority or 0)
        found = endpoint_components_pb2.LbEndpoint()
        found.endpoint.address.socket_address.CopyFrom(
            address_pb2.SocketAddress(address=one.address, port_value=one.port)
        )
        found.load_balancing_weight.value = one.weight or 1
        group.lb_endpoints.append(found)
    return assignment


def _protocol(cluster: cluster_pb2.Cluster, upstream: UpstreamSpec, app_protocol: str | None) -> None:
    options = hpo.HttpProtocolOptions()
    if upstream.protocol in ("HTTP2", "GRPC") or app_protocol in _HTTP2_APP_PROTOCOLS:
        options.explicit_http_config.http2_protocol_options.SetInParent()
    elif upstream.protocol == "Auto":
        options.auto_config.SetInParent()
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    if upstream.idle_timeout is not None:
        options.common_http_protocol_options.idle_timeout.FromMilliseconds(milliseconds(upstream.idle_timeout))
    cluster.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(options, deterministic=True)


def _limits(cluster: cluster_pb2.Cluster, limits: CircuitBreaker, key: ClusterKey) -> None:
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(track_remaining=True)
    thresholds.max_connections.value = limits.max_connections or 100_000
    thresholds.max_pending_requests.value = limits.max_pending_requests or 10_000
    thresholds.max_requests.value = limits.max_requests or 100_000
    thresholds.max_retries.value = limits.max_retries or 1_000
    if key.retry_budget is not None:
        percent, concurrency = key.retry_budget
        thresholds.retry_budget.budget_percent.value = float(percent)
        thresholds.retry_budget.min_retry_concurrency.value = concurrency
    cluster.circuit_breakers.thresholds.append(thresholds)
