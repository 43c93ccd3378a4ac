"""What a static Envoy in front of echo upstreams looks like, for tests of the harness and of clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.certificates import Pair

_TYPE = "type.googleapis.com/envoy"
_HCM = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def bootstrap(listeners: Sequence[Any], clusters: Sequence[Any]) -> dict[str, Any]:
    """A bootstrap with nothing but these static resources."""
    return {"static_resources": {"listeners": list(listeners), "clusters": list(clusters)}}


def cluster(name: str, port: int, **more: Any) -> dict[str, Any]:
    """A cluster with one endpoint on 127.0.0.1."""
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment, **more}


def http_listener(name: str, routes: Mapping[str, Sequence[Any]], pair: Pair | None = None, port: int = 0) -> Any:
    """An HTTP listener (HTTPS with a pair) whose virtual hosts, by host, have these routes; port 0 is a free one."""
    hosts = [
        {"name": f"h{number}", "domains": [host], "routes": list(routes[host])} for number, host in enumerate(routes)
    ]
    manager = {
        "@type": _HCM,
        "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": hosts},
        "http_filters": [_named("envoy.filters.http.router", f"{_TYPE}.extensions.filters.http.router.v3.Router")],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return _listener(name, chain | ({"transport_socket": _tls(pair)} if pair else {}), port)


def tcp_listener(name: str, to: str, port: int = 0) -> Any:
    """A TCP listener that proxies to one cluster."""
    kind = f"{_TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    proxy = {"@type": kind, "stat_prefix": name, "cluster": to}
    return _listener(name, {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}, port)


def route(prefix: str, to: str | Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A route for a prefix to a cluster, or with this route action."""
    action = {"cluster": to} if isinstance(to, str) else dict(to)
    return {"match": {"prefix": prefix}, "route": action, **more}


def _listener(name: str, chain: Mapping[str, Any], port: int) -> dict[str, Any]:
    return {"name": name, "address": _address(port), "filter_chains": [dict(chain)]}


def _tls(pair: Pair) -> dict[str, Any]:
    certificate = {"certificate_chain": {"inline_string": pair.certificate}, "private_key": {"inline_string": pair.key}}
    common = {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]}
    kind = f"{_TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": kind, "common_tls_context": common},
    }


def _named(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": kind}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
