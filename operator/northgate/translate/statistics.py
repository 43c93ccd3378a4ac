"""How are a proxy's statistics read? At one path of a listener of their own; nothing else of the admin is reachable."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

STATS_LISTENER = "northgate_stats"
"""Name and statistics prefix of the listener, by which its connections are told from clients'."""

_ADMIN_CLUSTER = "northgate-admin"
_PATH = "/stats/prometheus"
_Manager = hcm.HttpConnectionManager


@dataclass(frozen=True, slots=True)
class StatsAddress:
    """Where the statistics are read."""

    port: int
    host: str = "0.0.0.0"  # noqa: S104 - who may connect is for the network's policy to say


def admin_cluster(admin: str) -> cluster_pb2.Cluster:
    """The admin interface behind the unix socket `admin`."""
    cluster = cluster_pb2.Cluster(name=_ADMIN_CLUSTER, type=cluster_pb2.Cluster.STATIC)
    cluster.connect_timeout.FromSeconds(1)
    cluster.load_assignment.cluster_name = _ADMIN_CLUSTER
    cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.pipe.path = admin
    return cluster


def stats_listener(address: StatsAddress) -> listener_pb2.Listener:
    """The listener. It stays open when the proxy is short of memory or connections: then it is needed most."""
    listener = listener_pb2.Listener(name=STATS_LISTENER, stat_prefix=STATS_LISTENER)
    listener.address.socket_address.address = address.host
    listener.address.socket_address.port_value = address.port
    listener.bypass_overload_manager = True
    listener.ignore_global_conn_limit = True
    http = listener.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    http.typed_config.Pack(_manager(), deterministic=True)
    return listener


def _manager() -> hcm.HttpConnectionManager:
    manager = _Manager(stat_prefix=STATS_LISTENER, codec_type=_Manager.AUTO, server_name="northgate")
    manager.normalize_path.value = True
    manager.merge_slashes = False
    manager.path_with_escaped_slashes_action = _Manager.REJECT_REQUEST
    manager.use_remote_address.value = True
    manager.request_headers_timeout.FromSeconds(5)
    manager.stream_idle_timeout.FromSeconds(30)
    host = manager.route_config.virtual_hosts.add(name="all", domains=["*"])
    route = host.routes.add()
    route.match.path = _PATH
    route.match.headers.add(name=":method").string_match.exact = "GET"
    route.route.cluster = _ADMIN_CLUSTER
    router = manager.http_filters.add(name="envoy.filters.http.router")
    router.typed_config.Pack(Router(), deterministic=True)
    return manager
