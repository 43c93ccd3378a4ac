"""What does Envoy learn of a gateway's listeners? Ports, chains and what each chain answers for, decoded."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from google.protobuf.json_format import MessageToDict
from tests.core.objects import Put, gateway, put, route, service
from tests.harness.certificates import TlsPairs

from northgate.ops.scenery import Pair, secret
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import LISTENER, SECRET
from northgate.translate.listeners import Binding
from northgate.translate.names import NOWHERE

EDGE = ("default", "edge")


def listener(name: str, protocol: str, port: int = 443, hostname: str | None = None, **more: Any) -> dict[str, Any]:
    """A listener; protocol `PASS` is TLS passthrough."""
    found = {"name": name, "port": port, "protocol": "TLS" if protocol == "PASS" else protocol, **more}
    if protocol == "PASS":
        found["tls"] = {"mode": "Passthrough"}
    elif protocol in ("HTTPS", "TLS"):
        found.setdefault("tls", {"certificateRefs": [{"name": "pair"}]})
    return found if hostname is None else {**found, "hostname": hostname}


def pair(tls_pairs: TlsPairs) -> Put:
    found = tls_pairs.issue("*.a.test")
    return secret("default", "pair", Pair(found.certificate, found.key, ""))


def connection_route(name: str, listener_name: str, *hostnames: str, **weights: int) -> Put:
    refs = [{"name": backend, "port": 80, "weight": weight} for backend, weight in (weights or {"web": 1}).items()]
    hosts = {"hostnames": list(hostnames)} if hostnames else {}
    parents = [{"name": "edge", "namespace": "default", "sectionName": listener_name}]
    return route(name, {"backendRefs": refs}, parentRefs=parents, **hosts)


def edge_with(*objects: Put, binding: Binding | None = None) -> Edge:
    edge = Edge(binding)
    edge.apply([service("web"), service("other"), *objects])
    assert not edge.engine.failures
    return edge


def listeners(edge: Edge) -> dict[str, Listener]:
    return {name: Listener.FromString(one.body) for name, one in edge.resources(EDGE).get(LISTENER, {}).items()}


def proxy(chain: FilterChain) -> TcpProxy:
    found = TcpProxy()
    assert chain.filters[0].typed_config.Unpack(found)
    return found


def shares(chain: FilterChain) -> dict[str, int]:
    found = proxy(chain)
    return {one.name: one.weight for one in found.weighted_clusters.clusters} or {found.cluster: 1}


def matches(edge: Edge, port: int = 443) -> dict[str, str]:
    """What each server name of a port leads to: a route table, a cluster, or nowhere."""
    found = {}
    for chain in listeners(edge)[f"default/edge/{port}"].filter_chains:
        name = next(iter(chain.filter_chain_match.server_names), "*")
        http = chain.filters[0].name.endswith("http_connection_manager")
        found[name] = chain.name if http else "+".join(shares(chain))
    return found


def test_one_envoy_listener_for_each_port(tls_pairs: TlsPairs) -> None:
    web = [listener(name, "HTTP", 80, f"{name}.test") for name in "ab"]
    secure = [listener(name, "HTTPS", 443, f"{name}.a.test") for name in "ab"]
    binding = Binding("127.0.0.1", {443: 8443})
    found = listeners(edge_with(pair(tls_pairs), gateway(listeners=[*web, *_renamed(secure)]), binding=binding))
    assert {name: len(one.filter_chains) for name, one in found.items()} == {
        "default/edge/80": 1,
        "default/edge/443": 2,
    }
    addresses = {name: one.address.socket_address for name, one in found.items()}
    assert {name: (one.address, one.port_value) for name, one in addresses.items()} == {
        "default/edge/80": ("127.0.0.1", 80),
        "default/edge/443": ("127.0.0.1", 8443),
    }
    assert [one.name for one in found["default/edge/443"].listener_filters] == ["envoy.filters.listener.tls_inspector"]
    assert not found["default/edge/80"].listener_filters
    assert found["default/edge/80"].per_connection_buffer_limit_bytes.value == 32768


def _renamed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "name": f"{one['name']}-tls"} for one in found]


def test_tls_of_a_chain(tls_pairs: TlsPairs) -> None:
    tls = {"certificateRefs": [{"name": "pair"}], "minVersion": "1.3"}
    edge = edge_with(pair(tls_pairs), gateway(listeners=[listener("a", "HTTPS", tls=tls)]))
    [chain] = listeners(edge)["default/edge/443"].filter_chains
    context = DownstreamTlsContext()
    assert chain.transport_socket.typed_config.Unpack(context)
    common = context.common_tls_context
    assert list(common.alpn_protocols) == ["h2", "http/1.1"]
    assert common.tls_params.tls_minimum_protocol_version == TlsParameters.TLSv1_3
    assert common.tls_params.tls_maximum_protocol_version == TlsParameters.TLSv1_3
    [wanted] = common.tls_certificate_sds_secret_configs
    assert wanted.name == "listener/default/pair"
    assert MessageToDict(wanted.sds_config) == {"ads": {}, "initialFetchTimeout": "0s", "resourceApiVersion": "V3"}
    assert list(edge.resources(EDGE)[SECRET]) == ["listener/default/pair"]
    assert chain.transport_socket_connect_timeout.seconds == 10
    # A client without a server name matches too, but not one without TLS.
    assert MessageToDict(chain.filter_chain_match) == {"transportProtocol": "tls"}


def test_a_proxy_gets_no_secret_it_does_not_serve(tls_pairs: TlsPairs) -> None:
    conflicting = [listener("a", "HTTP", 443), listener("b", "HTTPS", 443)]
    edge = edge_with(pair(tls_pairs), gateway(listeners=conflicting))
    assert SECRET not in edge.resources(EDGE)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"web": 1}, {"default/web/80/tcp": 1}),
        ({"web": 3, "other": 1}, {"default/web/80/tcp": 3, "default/other/80/tcp": 1}),
        ({"web": 3, "other": 0}, {"default/web/80/tcp": 1}),
        ({"web": 3, "gone": 1}, {"default/web/80/tcp": 3, NOWHERE: 1}),
        ({"gone": 5}, {NOWHERE: 1}),
        ({"web": 0}, {NOWHERE: 1}),
    ],
)
def test_where_connections_go(weights: dict[str, int], expected: dict[str, int]) -> None:
    edge = edge_with(gateway(listeners=[listener("tcp", "TCP", 9000)]), connection_route("r", "tcp", **weights))
    [chain] = listeners(edge)["default/edge/9000"].filter_chains
    assert shares(chain) == expected
    assert proxy(chain).max_connect_attempts.value == 3
    assert proxy(chain).idle_timeout.seconds == 3600


def test_a_port_without_a_route_for_connections_is_not_opened() -> None:
    assert listeners(edge_with(gateway(listeners=[listener("tcp", "TCP", 9000)]))) == {}


def test_server_names_keep_apart(tls_pairs: TlsPairs) -> None:
    edge = edge_with(
        pair(tls_pairs),
        gateway(
            listeners=[
                listener("web", "HTTPS", 443, "*.a.test"),
                listener("pass", "PASS", 443, "pass.a.test"),
                listener("none", "PASS", 443, "none.a.test"),
                listener("bad", "HTTPS", 443, "bad.a.test", tls={"certificateRefs": [{"name": "gone"}]}),
                listener("far", "PASS", 443, "far.test"),
            ]
        ),
        connection_route("r", "pass"),
    )
    assert matches(edge) == {
        "*.a.test": "default/edge/443/web",
        "pass.a.test": "default/web/80/tcp",
        # Nothing is there for these two, and the wildcard must not answer for them.
        "none.a.test": NOWHERE,
        "bad.a.test": NOWHERE,
    }


def test_a_delegated_server_name_is_not_taken_by_a_wildcard() -> None:
    delegated = {"namespaces": {"from": "All"}, "hostnames": [{"namespaces": ["shop"], "hostnames": ["pay.test"]}]}
    edge = edge_with(
        gateway(listeners=[listener("pass", "PASS", 443, allowedRoutes=delegated)]), connection_route("r", "pass")
    )
    assert matches(edge) == {"*": "default/web/80/tcp", "pay.test": NOWHERE}
    mine = put("Route", "mine", connection_route("mine", "pass", "pay.test")[1]["spec"], "shop")
    edge.apply([service("web", "shop"), mine])
    assert matches(edge) == {"*": "default/web/80/tcp", "pay.test": "shop/web/80/tcp"}


def test_of_two_routes_for_one_port_the_older_has_it() -> None:
    edge = edge_with(
        gateway(listeners=[listener("tcp", "TCP", 9000)]),
        connection_route("b", "tcp", other=1),
        connection_route("a", "tcp", web=1),
    )
    [chain] = listeners(edge)["default/edge/9000"].filter_chains
    assert shares(chain) == {"default/web/80/tcp": 1}
    facts = edge.compiler.route_facts["default", "b"].parents[0]
    assert "Conflicted" in {str(condition.type) for condition in facts.conditions}


def test_the_order_of_listeners_means_nothing(tls_pairs: TlsPairs) -> None:
    three = [listener(name, "HTTPS", 443, f"{name}.a.test") for name in "abc"]
    edges = [edge_with(pair(tls_pairs), gateway(listeners=order)) for order in (three, three[::-1])]
    assert listeners(edges[0]) == listeners(edges[1])
