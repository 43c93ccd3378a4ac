"""How does a proxy reach a backend? One cluster for each backend, port and policy, shared by all rules."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.extensions.clusters.common.dns.v3 import dns_pb2
from envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from envoy.extensions.network.dns_resolver.cares.v3.cares_dns_resolver_pb2 import CaresDnsResolverConfig
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as hpo

from northgate.api.balancing import LoadBalancer
from northgate.api.base import milliseconds
from northgate.api.upstream import CircuitBreaker, Dns, UpstreamDefaults, UpstreamSpec
from northgate.resolve.backends import ClusterKey
from northgate.resolve.endpoints import EndpointsKey
from northgate.resolve.upstreams import Trust
from northgate.translate import names
from northgate.translate.balancing import balancing_policy
from northgate.translate.endpoints import dns_assignment, static_assignment
from northgate.translate.health import active_check, outlier_detection
from northgate.translate.sources import ads
from northgate.translate.upstream_tls import server_name, tls_socket

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2_APP_PROTOCOLS = frozenset({"kubernetes.io/h2c", "h2c", "grpc", "http2"})
_FAMILIES = {
    "V4Only": dns_pb2.V4_ONLY,
    "V6Only": dns_pb2.V6_ONLY,
    "V4Preferred": dns_pb2.V4_PREFERRED,
    "All": dns_pb2.ALL,
}
_SERVICE = UpstreamSpec.model_construct()
_NO_LIMITS = CircuitBreaker.model_construct()
"""A Service has none of an Upstream's settings."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What a cluster is made from: a Service's application protocol or an Upstream, and the gateway's defaults.

    `trust` is there for every Upstream with TLS.
    """

    key: ClusterKey
    upstream: UpstreamSpec | None
    app_protocol: str | None
    defaults: UpstreamDefaults
    trust: Trust | None = None


def envoy_cluster(backend: Backend) -> cluster_pb2.Cluster:
    """The cluster of a backend."""
    cluster = cluster_pb2.Cluster(name=names.cluster(backend.key))
    upstream = backend.upstream or _SERVICE
    timeout = upstream.connect_timeout or backend.defaults.connect_timeout or "2s"
    cluster.connect_timeout.FromMilliseconds(milliseconds(timeout))
    cluster.per_connection_buffer_limit_bytes.value = 32_768
    _discovery(cluster, backend)
    _balancing(cluster, upstream, backend.key)
    _health(cluster, backend)
    _protocol(cluster, upstream, backend.app_protocol)
    _limits(cluster, upstream.circuit_breaker or backend.defaults.circuit_breaker, backend.key)
    if upstream.tls is not None and backend.trust is not None:
        cluster.transport_socket.CopyFrom(tls_socket(upstream, upstream.tls, backend.trust))
    return cluster


def endpoints_key(backend: Backend) -> EndpointsKey | None:
    """Which endpoints the cluster asks for by EDS; None when it finds them by itself."""
    key = backend.key
    if key.kind == "Service":
        return EndpointsKey("Service", key.namespace, key.name, key.port)
    if backend.upstream is not None and backend.upstream.services is not None:
        return EndpointsKey("Upstream", key.namespace, key.name, 0)
    return None


def _discovery(cluster: cluster_pb2.Cluster, backend: Backend) -> None:
    # What the source no longer names is gone, whatever a health check still finds there.
    cluster.ignore_health_on_host_removal = True
    key = endpoints_key(backend)
    if key is not None:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        cluster.eds_cluster_config.service_name = names.endpoints(key)
    elif backend.upstream is not None and backend.upstream.static is not None:
        cluster.type = cluster_pb2.Cluster.STATIC
        cluster.load_assignment.CopyFrom(static_assignment(cluster.name, backend.upstream.static))
    elif backend.upstream is not None and backend.upstream.dns is not None:
        _resolving(cluster, backend.upstream.dns)


def _resolving(cluster: cluster_pb2.Cluster, dns: Dns) -> None:
    config = DnsCluster(dns_lookup_family=_FAMILIES[dns.family or "V4Preferred"])
    if dns.refresh is None:
        config.respect_dns_ttl = True
    else:
        config.dns_refresh_rate.FromMilliseconds(milliseconds(dns.refresh))
    config.dns_failure_refresh_rate.base_interval.FromSeconds(1)
    config.dns_failure_refresh_rate.max_interval.FromSeconds(10)
    config.typed_dns_resolver_config.name = "envoy.network.dns_resolver.cares"
    config.typed_dns_resolver_config.typed_config.Pack(_resolver(), deterministic=True)
    cluster.cluster_type.name = "envoy.cluster.dns"
    cluster.cluster_type.typed_config.Pack(config, deterministic=True)
    cluster.load_assignment.CopyFrom(dns_assignment(cluster.name, dns))


def _resolver() -> CaresDnsResolverConfig:
    """Patience for name servers that do not answer.

    Proxies confirm no cluster, not even a neighbour of this one, before the first look-up ends: 5 s with these bounds,
    measured with a dead server; over 60 s with the resolver's own.
    """
    config = CaresDnsResolverConfig()
    config.query_timeout_seconds.value = 1
    config.query_tries.value = 2
    return config


def _balancing(cluster: cluster_pb2.Cluster, upstream: UpstreamSpec, key: ClusterKey) -> None:
    weighted = any(source.weight is not None for source in upstream.services or ())
    balancer = upstream.load_balancer or LoadBalancer()
    # An endpoint that refuses connections has none, so by least load each attempt for a connection would choose it.
    if key.connections and balancer.policy == "LeastRequest" and balancer.type is None:
        balancer = balancer.model_copy(update={"type": "RoundRobin"})
    policy = balancing_policy(balancer, weighted_localities=weighted)
    cluster.load_balancing_policy.CopyFrom(policy)


def _health(cluster: cluster_pb2.Cluster, backend: Backend) -> None:
    upstream, own, inherited = backend.upstream, None, backend.defaults.health_check
    if upstream is not None and upstream.health_check is not None:
        own = upstream.health_check
        if own.active is not None:
            host = server_name(upstream) or f"{backend.key.name}.{backend.key.namespace}"
            cluster.health_checks.append(active_check(own.active, host, upstream.protocol))
    blocks = [block for block in (own, inherited) if block is not None]
    passive = next((block.passive for block in blocks if block.passive is not None), None)
    if passive is not None:
        cluster.outlier_detection.CopyFrom(outlier_detection(passive))
    panic = next((block.panic_threshold for block in blocks if block.panic_threshold is not None), None)
    if panic is not None:
        cluster.common_lb_config.healthy_panic_threshold.value = panic


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


def _limits(cluster: cluster_pb2.Cluster, wanted: CircuitBreaker | None, key: ClusterKey) -> None:
    limits = wanted or _NO_LIMITS
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(track_remaining=True)
    thresholds.max_connections.value = limits.max_connections or 100_000
    thresholds.max_pending_requests.value = limits.max_pending_requests or 10_000
    thresholds.max_requests.value = limits.max_requests or 100_000
    thresholds.max_retries.value = limits.max_retries or 1_000
    if key.retry_budget:
        percent, concurrency = key.retry_budget
        thresholds.retry_budget.budget_percent.value = float(percent)
        thresholds.retry_budget.min_retry_concurrency.value = concurrency
    cluster.circuit_breakers.thresholds.append(thresholds)
    if limits.per_endpoint is not None:
        per_host = cluster.circuit_breakers.per_host_thresholds.add()
        per_host.max_connections.value = limits.per_endpoint.max_connections
