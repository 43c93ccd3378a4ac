"""What does a proxy listen on? One Envoy listener for each port of a gateway, a filter chain for each way in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2

from northgate.resolve.attachment import table_of
from northgate.resolve.backends import ClusterKey, RuleBackends
from northgate.resolve.gateways import ResolvedGateway, ResolvedListener, Tls
from northgate.resolve.hostnames import narrower
from northgate.translate import names
from northgate.translate.http import connection_manager
from northgate.translate.sources import ads

_TLS_VERSIONS = {"1.2": common_pb2.TlsParameters.TLSv1_2, "1.3": common_pb2.TlsParameters.TLSv1_3}
_BUFFER = 32_768
_HELLO_SECONDS = 5
_HANDSHAKE_SECONDS = 10
_HTTP = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"
_EVERYWHERE = "::"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where listeners' ports are bound: an address, and other port numbers where the gateway's cannot be used.

    `::` takes IPv4 connections too, whose clients keep their IPv4 addresses.
    """

    address: str = "0.0.0.0"  # noqa: S104 - an edge listens for everybody unless told otherwise
    ports: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))

    def port(self, wanted: int) -> int:
        """The port that is really bound for a listener's port."""
        return self.ports.get(wanted, wanted)


@dataclass(frozen=True, slots=True)
class Forward:
    """Connections for one hostname of a listener and the clusters they go to."""

    listener: str
    host: str
    backends: RuleBackends


def envoy_listener(
    gateway: ResolvedGateway, port: int, binding: Binding, forwards: Sequence[Forward]
) -> tuple[listener_pb2.Listener, frozenset[ClusterKey]] | None:
    """The listener of one port and the clusters it names itself; None when nothing can be done with a connection."""
    chains = [chain for one in gateway.serving(port) for chain in _chains(gateway, one, forwards)]
    if not chains:
        return None
    chains.extend(_closed_chain(gateway, *one) for one in _reserved(gateway, port, forwards))
    # Their order means nothing to Envoy, but a change of it would be an update.
    chains.sort(key=lambda chain: chain.name)
    listener = listener_pb2.Listener(name=names.listener(gateway.name, port), filter_chains=chains)
    listener.address.socket_address.address = binding.address
    listener.address.socket_address.port_value = binding.port(port)
    listener.address.socket_address.ipv4_compat = binding.address == _EVERYWHERE
    listener.per_connection_buffer_limit_bytes.value = _BUFFER
    listener.enable_reuse_port.value = True
    if any(one.tls is not None for one in gateway.serving(port)):
        inspector = listener.listener_filters.add(name="envoy.filters.listener.tls_inspector")
        inspector.typed_config.Pack(TlsInspector(), deterministic=True)
        listener.listener_filters_timeout.FromSeconds(_HELLO_SECONDS)
    clusters = {cluster for forward in forwards for cluster, _ in _shares(forward.backends)}
    return listener, frozenset(clusters)


def _chains(gateway: ResolvedGateway, listener: ResolvedListener, forwards: Sequence[Forward]) -> list[lc.FilterChain]:
    if not listener.http:
        return [_forward_chain(gateway, listener, one) for one in forwards if one.listener == listener.name]
    table = table_of(gateway.name, listener)
    chain = lc.FilterChain(name=names.table(table))
    _add_filter(chain, _HTTP, connection_manager(table, gateway.hardening))
    if listener.tls is not None:
        _match_host(chain, listener.hostname)
        _terminate(chain, listener.tls, ("h2", "http/1.1"))
        return [chain]
    # Listeners without TLS on one port share a table and so one chain.
    first = next(one for one in gateway.serving(listener.port))
    return [chain] if first is listener else []


def _forward_chain(gateway: ResolvedGateway, listener: ResolvedListener, forward: Forward) -> lc.FilterChain:
    name = names.table(table_of(gateway.name, listener))
    chain = lc.FilterChain(name=f"{name}/{forward.host}")
    _add_filter(chain, _TCP, _tcp_proxy(name, forward.backends))
    if listener.tls is not None:
        _match_host(chain, forward.host)
        if not listener.tls.passthrough:
            _terminate(chain, listener.tls, ())
    return chain


def _tcp_proxy(name: str, backends: RuleBackends) -> TcpProxy:
    """Forwards connections by weight. The share of references that do not resolve is closed, never sent elsewhere."""
    proxy = TcpProxy(stat_prefix=name)
    proxy.max_connect_attempts.value = 3
    proxy.idle_timeout.FromSeconds(3600)
    if backends.consistent_hash is not None and backends.consistent_hash.source_ip is not None:
        proxy.hash_policy.add().source_ip.SetInParent()
    shares = [(names.cluster(cluster), weight) for cluster, weight in _shares(backends)]
    if backends.lost or not shares:
        shares.append((names.NOWHERE, backends.lost))
    if len(shares) == 1:
        proxy.cluster = shares[0][0]
    else:
        for cluster, weight in shares:
            proxy.weighted_clusters.clusters.add(name=cluster, weight=weight)
    return proxy


def _shares(backends: RuleBackends) -> Iterator[tuple[ClusterKey, int]]:
    return ((target.cluster._replace(connections=True), target.weight) for target in backends.targets)


def _reserved(
    gateway: ResolvedGateway, port: int, forwards: Sequence[Forward]
) -> Iterator[tuple[ResolvedListener, str]]:
    """Server names that nobody serves, and that a chain for a wider one would answer if they had none of their own."""
    spoken = {one.host for one in forwards} | {one.hostname for one in gateway.serving(port) if one.http}
    for listener in gateway.accepted(port):
        for host in _server_names(gateway, listener):
            if host not in spoken and any(narrower(host, wide) for wide in spoken):
                yield listener, host


def _server_names(gateway: ResolvedGateway, listener: ResolvedListener) -> Iterator[str]:
    if listener.tls is None:
        return
    yield listener.hostname
    # What is delegated of a listener for requests is kept apart by its routes.
    yield from () if listener.http else gateway.delegated(listener)


def _closed_chain(gateway: ResolvedGateway, listener: ResolvedListener, host: str) -> lc.FilterChain:
    name = names.table(table_of(gateway.name, listener))
    chain = lc.FilterChain(name=f"{name}/{host} closed")
    _add_filter(chain, _TCP, _tcp_proxy(name, RuleBackends()))
    _match_host(chain, host)
    return chain


def _match_host(chain: lc.FilterChain, hostname: str) -> None:
    if hostname == "*":
        # An explicit match on TLS keeps plain-text connections out of the chain.
        chain.filter_chain_match.transport_protocol = "tls"
    else:
        chain.filter_chain_match.server_names.append(hostname)


def _terminate(chain: lc.FilterChain, tls: Tls, protocols: Sequence[str]) -> None:
    context = tls_pb2.DownstreamTlsContext()
    common = context.common_tls_context
    common.alpn_protocols.extend(protocols)
    common.tls_params.tls_minimum_protocol_version = _TLS_VERSIONS[tls.min_version]
    common.tls_params.tls_maximum_protocol_version = _TLS_VERSIONS[tls.max_version]
    for secret in tls.certificates:
        sds = common.tls_certificate_sds_secret_configs.add(name=names.certificate(secret))
        sds.sds_config.CopyFrom(ads())
    chain.transport_socket_connect_timeout.FromSeconds(_HANDSHAKE_SECONDS)
    chain.transport_socket.name = "envoy.transport_sockets.tls"
    chain.transport_socket.typed_config.Pack(context, deterministic=True)


def _add_filter(chain: lc.FilterChain, name: str, config: Any) -> None:
    chain.filters.add(name=name).typed_config.Pack(config, deterministic=True)
