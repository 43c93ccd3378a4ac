"""What must an Envoy know before it can ask? Who it is, where the control plane is, and its limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2
from envoy.config.overload.v3 import overload_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.json_format import MessageToJson

from northgate.api.regex import MAX_PROGRAM_SIZE
from northgate.translate.names import XDS_CLUSTER
from northgate.translate.sources import ads
from northgate.translate.statistics import StatsAddress, admin_cluster, stats_listener
from northgate.translate.xds_tls import Mtls, xds_socket

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MONITORS = "envoy.resource_monitors"
_ADMIN_MODE = 0o600
_KEEPALIVE_SECONDS = 5
_CONNECT_SECONDS = 1
_FLUSH_SECONDS = 10
_RETRY_MS = 500
_LONGEST_RETRY_SECONDS = 5
_OVERLOAD_REFRESH_MS = 250
_SHRINK_HEAP_AT = 0.95
_STOP_ACCEPTING_AT = 0.98


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host name or IP address, and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a unix socket, at most 107 bytes long."""

    path: str


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a proxy is: its own id, the group of its gateway (`names.group`), and the place it stands in."""

    id: str
    group: str
    pop: str = ""
    region: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a proxy may take: downstream connections at a time over all listeners, and bytes of heap (0: no limit).

    Close to the heap limit Envoy first gives memory back, then answers 503 to new requests.
    """

    connections: int = 50_000
    heap_bytes: int = 0


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """Everything that tells one proxy's bootstrap from another's. `admin` is the path of a unix socket.

    `delta` chooses between the incremental and the state-of-the-world form of aggregated discovery. With `tls` the
    control plane, a TcpAddress, is spoken to by mutual TLS. `stats` is where statistics are read, nowhere when absent.
    """

    node: NodeIdentity
    xds: TcpAddress | UnixAddress
    admin: str
    delta: bool = True
    limits: Limits = Limits()
    tls: Mtls | None = None
    stats: StatsAddress | None = None


def bootstrap(options: BootstrapOptions) -> bootstrap_pb2.Bootstrap:
    """The bootstrap of one proxy: no secret, no port but that of its statistics, and it never gives up waiting."""
    message = bootstrap_pb2.Bootstrap()
    _identify(message, options.node)
    _ask(message, options)
    message.admin.address.pipe.path = options.admin
    message.admin.address.pipe.mode = _ADMIN_MODE
    _set_runtime(message)
    message.overload_manager.CopyFrom(_overload(options.limits))
    _count(message, options.node)
    if options.stats is not None:
        message.static_resources.clusters.append(admin_cluster(options.admin))
        message.static_resources.listeners.append(stats_listener(options.stats))
    message.cluster_manager.enable_deferred_cluster_creation = True
    return message


def bootstrap_json(options: BootstrapOptions) -> str:
    """The bootstrap as JSON text, for `envoy -c FILE.json`; equal options give equal text."""
    return str(MessageToJson(bootstrap(options), preserving_proto_field_name=True, sort_keys=True))


def bootstrap_yaml(options: BootstrapOptions) -> str:
    """The bootstrap as YAML text."""
    values: dict[str, Any] = json.loads(bootstrap_json(options))
    return yaml.safe_dump(values, sort_keys=True)


def _identify(message: bootstrap_pb2.Bootstrap, identity: NodeIdentity) -> None:
    node = message.node
    node.id, node.cluster = identity.id, identity.group
    if identity.region or identity.zone:
        node.locality.region, node.locality.zone = identity.region, identity.zone
    node.metadata.update({"gateway": identity.group, **({"pop": identity.pop} if identity.pop else {})})


def _ask(message: bootstrap_pb2.Bootstrap, options: BootstrapOptions) -> None:
    dynamic = message.dynamic_resources
    kind = config_source_pb2.ApiConfigSource
    dynamic.ads_config.api_type = kind.DELTA_GRPC if options.delta else kind.GRPC
    dynamic.ads_config.transport_api_version = config_source_pb2.V3
    dynamic.ads_config.set_node_on_first_message_only = True
    service = dynamic.ads_config.grpc_services.add().envoy_grpc
    service.cluster_name = XDS_CLUSTER
    # Envoy's own longest pause is 30 s, which a change made right after an outage would have to wait for.
    service.retry_policy.retry_back_off.base_interval.FromMilliseconds(_RETRY_MS)
    service.retry_policy.retry_back_off.max_interval.FromSeconds(_LONGEST_RETRY_SECONDS)
    dynamic.cds_config.CopyFrom(ads())
    dynamic.lds_config.CopyFrom(ads())
    message.static_resources.clusters.append(_xds_cluster(options.xds, options.tls))


def _xds_cluster(address: TcpAddress | UnixAddress, tls: Mtls | None) -> cluster_pb2.Cluster:
    cluster = cluster_pb2.Cluster(name=XDS_CLUSTER)
    cluster.connect_timeout.FromSeconds(_CONNECT_SECONDS)
    cluster.load_assignment.cluster_name = XDS_CLUSTER
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    match address:
        case UnixAddress(path):
            cluster.type = cluster_pb2.Cluster.STATIC
            endpoint.address.pipe.path = path
        case TcpAddress(host, port):
            # Resolves names and takes IP addresses as they are.
            cluster.type = cluster_pb2.Cluster.STRICT_DNS
            endpoint.address.socket_address.address = host
            endpoint.address.socket_address.port_value = port
            if tls is not None:
                cluster.transport_socket.CopyFrom(xds_socket(tls, host))
    http = http_protocol_options_pb2.HttpProtocolOptions()
    # A control plane that is frozen or cut off is noticed by this alone.
    keepalive = http.explicit_http_config.http2_protocol_options.connection_keepalive
    keepalive.interval.FromSeconds(_KEEPALIVE_SECONDS)
    keepalive.timeout.FromSeconds(_KEEPALIVE_SECONDS)
    cluster.typed_extension_protocol_options[_HTTP_OPTIONS].Pack(http, deterministic=True)
    return cluster


def _set_runtime(message: bootstrap_pb2.Bootstrap) -> None:
    static = message.layered_runtime.layers.add(name="static")
    # Without it Envoy refuses expressions above 100 instructions, which plain repetitions exceed.
    static.static_layer.update({"re2.max_program_size.error_level": MAX_PROGRAM_SIZE})
    # The last layer wins: what an operator sets by hand on a proxy holds whatever the control plane says.
    message.layered_runtime.layers.add(name="admin").admin_layer.SetInParent()


def _overload(limits: Limits) -> overload_pb2.OverloadManager:
    manager = overload_pb2.OverloadManager()
    manager.refresh_interval.FromMilliseconds(_OVERLOAD_REFRESH_MS)
    connections = manager.resource_monitors.add(name=f"{_MONITORS}.global_downstream_max_connections")
    connections.typed_config.Pack(
        downstream_connections_pb2.DownstreamConnectionsConfig(max_active_downstream_connections=limits.connections),
        deterministic=True,
    )
    if limits.heap_bytes:
        _watch_heap(manager, limits.heap_bytes)
    return manager


def _watch_heap(manager: overload_pb2.OverloadManager, most: int) -> None:
    name = f"{_MONITORS}.fixed_heap"
    heap = manager.resource_monitors.add(name=name)
    heap.typed_config.Pack(fixed_heap_pb2.FixedHeapConfig(max_heap_size_bytes=most), deterministic=True)
    for action, share in (("shrink_heap", _SHRINK_HEAP_AT), ("stop_accepting_requests", _STOP_ACCEPTING_AT)):
        trigger = manager.actions.add(name=f"envoy.overload_actions.{action}").triggers.add(name=name)
        trigger.threshold.value = share


def _count(message: bootstrap_pb2.Bootstrap, identity: NodeIdentity) -> None:
    for name, value in (("gateway", identity.group), ("pop", identity.pop)):
        if value:
            message.stats_config.stats_tags.add(tag_name=name, fixed_value=value)
    message.stats_flush_interval.FromSeconds(_FLUSH_SECONDS)
    message.deferred_stat_options.enable_deferred_creation_stats = True
