"""What does Envoy learn of an Upstream? Each field of the object, seen in the decoded cluster or route."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.network.dns_resolver.cares.v3.cares_dns_resolver_pb2 import CaresDnsResolverConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.json_format import MessageToDict
from tests.core.objects import Put, gateway, put, route, service
from tests.harness.certificates import TlsPairs
from tests.harness.envoy import validate

from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import CLUSTER, LISTENER, ROUTE

ADDRESS = [{"address": "10.0.0.9", "port": 80}]
CA = [{"kind": "ConfigMap", "name": "ca"}]


def edge_with(spec: dict[str, Any], *objects: Put, **defaults: Any) -> Edge:
    edge = Edge()
    entry = gateway(**({"defaults": {"upstream": defaults}} if defaults else {}))
    to_up = {"backendRefs": [{"kind": "Upstream", "name": "up"}]}
    edge.apply([entry, route("r", to_up), put("Upstream", "up", spec), *objects])
    assert not edge.engine.failures
    return edge


def cluster(*objects: Put, defaults: dict[str, Any] | None = None, **spec: Any) -> Cluster:
    spec = spec if {"services", "static", "dns"} & spec.keys() else {"static": ADDRESS, **spec}
    edge = edge_with(spec, *objects, **(defaults or {}))
    (resource,) = edge.resources(("default", "edge"))[CLUSTER].values()
    found = Cluster.FromString(resource.body)
    assert found.name == "default/up"
    return found


def policy(found: Cluster) -> tuple[str, dict[str, Any]]:
    (extension,) = found.load_balancing_policy.policies
    config = MessageToDict(extension.typed_extension_config.typed_config)
    config.pop("@type")
    return extension.typed_extension_config.name.rpartition(".")[2], config


def options(found: Cluster) -> HttpProtocolOptions:
    (packed,) = found.typed_extension_protocol_options.values()
    return HttpProtocolOptions.FromString(packed.value)


def as_dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


@pytest.mark.parametrize(
    ("balancer", "name", "config"),
    [
        (None, "least_request", {}),
        ({"type": "RoundRobin"}, "round_robin", {}),
        ({"type": "Random"}, "random", {}),
        ({"slowStart": {"window": "30s"}}, "least_request", {"slowStartConfig": {"slowStartWindow": "30s"}}),
        (
            {"type": "RoundRobin", "slowStart": {"window": "1m"}},
            "round_robin",
            {"slowStartConfig": {"slowStartWindow": "60s"}},
        ),
        ({"consistentHash": {"header": "x"}}, "maglev", {}),
        ({"type": "RingHash", "consistentHash": {"header": "x"}}, "ring_hash", {}),
    ],
)
def test_policies(balancer, name, config) -> None:
    spec = {"loadBalancer": balancer} if balancer else {}
    assert policy(cluster(**spec)) == (name, config)


@pytest.mark.parametrize(
    ("balancer", "config"),
    [
        ({}, {"localityLbConfig": {"localityWeightedLbConfig": {}}}),
        ({"type": "Random"}, {"localityLbConfig": {"localityWeightedLbConfig": {}}}),
        ({"consistentHash": {"header": "x"}}, {"localityWeightedLbConfig": {}}),
        ({"type": "RingHash", "consistentHash": {"header": "x"}}, {"localityWeightedLbConfig": {}}),
    ],
)
def test_weights_of_services_are_weights_of_localities(balancer, config) -> None:
    services = [{"name": "web", "port": 80, "weight": 2}]
    assert policy(cluster(service("web"), services=services, loadBalancer=balancer))[1] == config


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"header": "x-user"}, {"header": {"header_name": "x-user"}}),
        ({"queryParam": "id"}, {"query_parameter": {"name": "id"}}),
        ({"sourceIP": {}}, {"connection_properties": {"source_ip": True}}),
        ({"cookie": {"name": "seat"}}, {"cookie": {"name": "seat"}}),
        ({"cookie": {"name": "seat", "ttl": "0s"}}, {"cookie": {"name": "seat", "ttl": "0s", "path": "/"}}),
        (
            {"cookie": {"name": "seat", "ttl": "1h", "path": "/a"}},
            {"cookie": {"name": "seat", "ttl": "3600s", "path": "/a"}},
        ),
    ],
)
def test_routes_compute_the_key(key, expected) -> None:
    edge = edge_with({"static": ADDRESS, "loadBalancer": {"consistentHash": key}})
    (resource,) = edge.resources(("default", "edge"))[ROUTE].values()
    table = RouteConfiguration.FromString(resource.body)
    found = [one.route.hash_policy for host in table.virtual_hosts for one in host.routes if one.route.cluster]
    assert [[as_dict(one) for one in policies] for policies in found] == [[expected]]


@pytest.mark.parametrize(("key", "hashed"), [({"sourceIP": {}}, True), ({"header": "x"}, False)])
def test_connections_know_the_clients_address_alone(key, hashed) -> None:
    spec = {"static": ADDRESS, "loadBalancer": {"consistentHash": key}}
    entry = gateway(listeners=[{"name": "tcp", "port": 5432, "protocol": "TCP"}])
    edge = Edge()
    parents = [{"name": "edge", "sectionName": "tcp"}]
    forward = route("r", {"backendRefs": [{"kind": "Upstream", "name": "up"}]}, parentRefs=parents)
    edge.apply([entry, forward, put("Upstream", "up", spec)])
    (resource,) = edge.resources(("default", "edge"))[LISTENER].values()
    (chain,) = Listener.FromString(resource.body).filter_chains
    proxy = TcpProxy.FromString(chain.filters[-1].typed_config.value)
    assert [policy.HasField("source_ip") for policy in proxy.hash_policy] == [True] * hashed


def test_static_endpoints_keep_weight_priority_and_place() -> None:
    found = cluster(
        static=[
            {"address": "10.0.0.1", "port": 80, "priority": 5, "weight": 7},
            {"address": "2001:db8::1", "port": 81, "priority": 2, "locality": {"region": "eu", "zone": "a"}},
        ]
    )
    assert found.type == Cluster.STATIC
    told = [
        (
            group.priority,
            group.locality.region,
            group.locality.zone,
            one.endpoint.address.socket_address.address,
            one.load_balancing_weight.value,
        )
        for group in found.load_assignment.endpoints
        for one in group.lb_endpoints
    ]
    assert told == [(0, "eu", "a", "2001:db8::1", 1), (1, "", "", "10.0.0.1", 7)]


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        ({}, {"respect_dns_ttl": True, "dns_lookup_family": "V4_PREFERRED"}),
        ({"refresh": "30s", "family": "V6Only"}, {"dns_refresh_rate": "30s", "dns_lookup_family": "V6_ONLY"}),
        ({"family": "All"}, {"respect_dns_ttl": True, "dns_lookup_family": "ALL"}),
        ({"family": "V4Only"}, {"respect_dns_ttl": True, "dns_lookup_family": "V4_ONLY"}),
    ],
)
def test_names_are_resolved_by_the_proxy(dns, expected) -> None:
    found = cluster(dns={"hostname": "origin.example", "port": 8080, **dns})
    assert found.cluster_type.name == "envoy.cluster.dns"
    config = DnsCluster.FromString(found.cluster_type.typed_config.value)
    resolver = CaresDnsResolverConfig.FromString(config.typed_dns_resolver_config.typed_config.value)
    assert (resolver.query_timeout_seconds.value, resolver.query_tries.value) == (1, 2)
    config.ClearField("typed_dns_resolver_config")
    config.ClearField("dns_failure_refresh_rate")
    assert as_dict(config) == expected
    (endpoint,) = found.load_assignment.endpoints[0].lb_endpoints
    assert endpoint.endpoint.address.socket_address.address == "origin.example"


def active(found: Cluster) -> dict[str, Any]:
    (check,) = found.health_checks
    return as_dict(check)


def test_an_active_check_has_defaults_that_do_not_sleep_for_a_minute() -> None:
    found = active(cluster(healthCheck={"active": {"http": {"path": "/healthz"}}}))
    assert found == {
        "timeout": "1s",
        "interval": "5s",
        "no_traffic_interval": "5s",
        "interval_jitter_percent": 20,
        "unhealthy_threshold": 3,
        "healthy_threshold": 2,
        "http_health_check": {
            "host": "up.default",
            "path": "/healthz",
            "expected_statuses": [{"start": "200", "end": "201"}],
            "retriable_statuses": [{"start": "100", "end": "600"}],
        },
    }


def test_an_active_check_as_written() -> None:
    http = {"path": "/h", "host": "h.example", "expectedStatuses": [204, 200]}
    written = {"interval": "2s", "timeout": "300ms", "healthyThreshold": 1, "unhealthyThreshold": 5}
    found = active(cluster(healthCheck={"active": {"http": http, **written}}))
    assert (found["interval"], found["timeout"]) == ("2s", "0.300s")
    assert (found["healthy_threshold"], found["unhealthy_threshold"]) == (1, 5)
    assert found["http_health_check"]["host"] == "h.example"
    assert [status["start"] for status in found["http_health_check"]["expected_statuses"]] == ["200", "204"]


def test_checks_by_connection_and_by_grpc() -> None:
    assert active(cluster(healthCheck={"active": {"tcp": {}}}))["tcp_health_check"] == {}
    grpc = active(cluster(protocol="GRPC", healthCheck={"active": {"grpc": {"service": "a.B"}}}))
    assert grpc["grpc_health_check"] == {"service_name": "a.B", "authority": "up.default"}


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        ({"dns": {"hostname": "origin.example", "port": 80}}, "origin.example"),
        ({"tls": {"sni": "sni.example", "caCertificateRefs": CA}}, "sni.example"),
    ],
)
def test_a_check_asks_for_the_name_the_endpoints_go_by(spec, host, tls_pairs: TlsPairs) -> None:
    authority = put("ConfigMap", "ca", None, data={"ca.crt": tls_pairs.ca})
    found = active(cluster(authority, healthCheck={"active": {"http": {"path": "/"}}}, **spec))
    assert found["http_health_check"]["host"] == host


@pytest.mark.parametrize(
    ("passive", "expected"),
    [
        ({}, (5, 100, 0, 10, 30, 50)),
        ({"consecutive5xx": 3}, (3, 100, 0, 10, 30, 50)),
        ({"consecutiveGatewayErrors": 2}, (5, 0, 100, 10, 30, 50)),
        ({"consecutive5xx": 9, "consecutiveGatewayErrors": 2}, (9, 100, 100, 10, 30, 50)),
        ({"interval": "2s", "ejection": {"base": "5s", "maxPercent": 20}}, (5, 100, 0, 2, 5, 20)),
    ],
)
def test_passive_checks_count_failures_in_a_row_alone(passive, expected) -> None:
    found = cluster(healthCheck={"passive": passive}).outlier_detection
    assert found.enforcing_success_rate.value == 0
    assert found.HasField("enforcing_success_rate")
    assert found.always_eject_one_host.value
    assert expected == (
        found.consecutive_5xx.value,
        found.enforcing_consecutive_5xx.value,
        found.enforcing_consecutive_gateway_failure.value,
        found.interval.seconds,
        found.base_ejection_time.seconds,
        found.max_ejection_percent.value,
    )


INHERITED = {
    "connectTimeout": "3s",
    "circuitBreaker": {"maxConnections": 7},
    "healthCheck": {"passive": {"consecutive5xx": 4}, "panicThreshold": 10},
}


def test_what_an_upstream_leaves_out_is_inherited_from_the_gateway() -> None:
    found = cluster(defaults=INHERITED, healthCheck={"active": {"tcp": {}}})
    assert found.connect_timeout.seconds == 3
    assert found.circuit_breakers.thresholds[0].max_connections.value == 7
    assert found.outlier_detection.consecutive_5xx.value == 4
    assert found.common_lb_config.healthy_panic_threshold.value == 10


def test_what_an_upstream_says_counts() -> None:
    own = {
        "connectTimeout": "250ms",
        "circuitBreaker": {"maxRetries": 5, "perEndpoint": {"maxConnections": 2}},
        "healthCheck": {"passive": {"consecutive5xx": 8}, "panicThreshold": 0},
        "idleTimeout": "90s",
    }
    found = cluster(defaults=INHERITED, **own)
    assert found.connect_timeout.ToMilliseconds() == 250
    (limits,) = found.circuit_breakers.thresholds
    assert (limits.max_connections.value, limits.max_retries.value) == (100_000, 5)
    assert found.circuit_breakers.per_host_thresholds[0].max_connections.value == 2
    assert found.outlier_detection.consecutive_5xx.value == 8
    assert found.common_lb_config.HasField("healthy_panic_threshold")
    assert found.common_lb_config.healthy_panic_threshold.value == 0
    assert options(found).common_http_protocol_options.idle_timeout.seconds == 90


def test_nothing_is_inherited_from_nowhere() -> None:
    found = cluster()
    assert found.connect_timeout.seconds == 2
    assert not found.HasField("outlier_detection")
    assert not found.common_lb_config.HasField("healthy_panic_threshold")
    assert not found.health_checks
    assert not found.HasField("transport_socket")


@pytest.mark.parametrize(
    ("protocol", "tls", "alpn", "codec"),
    [
        ("HTTP1", True, ["http/1.1"], "explicit_http_config"),
        ("HTTP2", True, ["h2"], "explicit_http_config"),
        ("GRPC", False, None, "explicit_http_config"),
        ("Auto", True, [], "auto_config"),
    ],
)
def test_protocols(protocol, tls, alpn, codec, tls_pairs: TlsPairs) -> None:
    secured = {"tls": {"sni": "o.example", "caCertificateRefs": CA}} if tls else {}
    authority = put("ConfigMap", "ca", None, data={"ca.crt": tls_pairs.ca})
    found = cluster(authority, protocol=protocol, healthCheck={"active": {"http": {"path": "/"}}}, **secured)
    assert options(found).WhichOneof("upstream_protocol_options") == codec
    if alpn is not None:
        context = UpstreamTlsContext.FromString(found.transport_socket.typed_config.value)
        assert context.common_tls_context.alpn_protocols == alpn
    is_http2 = protocol in ("HTTP2", "GRPC")
    assert (active(found)["http_health_check"].get("codec_client_type") == "HTTP2") == is_http2
    assert ("tls_options" in active(found)) == (protocol == "Auto")


def test_tls_verifies_and_shows_what_the_upstream_says(tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("me.example")
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    found = cluster(
        put("ConfigMap", "ca", None, data={"ca.crt": tls_pairs.ca}),
        put("Secret", "me", None, type="kubernetes.io/tls", stringData=data),
        dns={"hostname": "origin.example", "port": 443},
        tls={
            "caCertificateRefs": CA,
            "clientCertificateRef": {"name": "me"},
            "subjectAltNames": ["a.example", "spiffe://example/b"],
            "minVersion": "1.3",
        },
    )
    context = UpstreamTlsContext.FromString(found.transport_socket.typed_config.value)
    common = context.common_tls_context
    assert context.sni == "origin.example"
    assert as_dict(common.tls_params) == {
        "tls_minimum_protocol_version": "TLSv1_3",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    validation = common.combined_validation_context
    assert [as_dict(one) for one in validation.default_validation_context.match_typed_subject_alt_names] == [
        {"san_type": "DNS", "matcher": {"exact": "a.example"}},
        {"san_type": "URI", "matcher": {"exact": "spiffe://example/b"}},
    ]
    assert validation.validation_context_sds_secret_config.name == "ca/configmap/default/ca"
    assert [one.name for one in common.tls_certificate_sds_secret_configs] == ["upstream/default/me"]
    assert pair.key.encode() not in found.SerializeToString()


def test_the_certificate_must_be_for_the_name_asked_for(tls_pairs: TlsPairs) -> None:
    authority = put("ConfigMap", "ca", None, data={"ca.crt": tls_pairs.ca})
    found = cluster(authority, tls={"sni": "o.example", "caCertificateRefs": CA})
    context = UpstreamTlsContext.FromString(found.transport_socket.typed_config.value)
    validation = context.common_tls_context.combined_validation_context.default_validation_context
    assert [one.matcher.exact for one in validation.match_typed_subject_alt_names] == ["o.example"]


EXTREMES: list[dict[str, Any]] = [
    {"connectTimeout": "1ms", "idleTimeout": "24h", "circuitBreaker": {"perEndpoint": {"maxConnections": 1}}},
    {"connectTimeout": "5m", "circuitBreaker": {"maxConnections": 10_000_000, "maxRetries": 10_000_000}},
    {"loadBalancer": {"slowStart": {"window": "1ms"}}},
    {"loadBalancer": {"type": "RoundRobin", "slowStart": {"window": "1h"}}},
    {"loadBalancer": {"type": "RingHash", "consistentHash": {"sourceIP": {}}}},
    {"static": [{"address": f"10.0.0.{n}", "port": n, "weight": 1000, "priority": n} for n in range(1, 16)]},
    {"dns": {"hostname": "a.example", "port": 65535, "refresh": "1s"}},
    {"dns": {"hostname": "a.example", "port": 1, "refresh": "24h", "family": "All"}},
    {"healthCheck": {"active": {"tcp": {}, "interval": "100ms", "timeout": "10ms"}, "panicThreshold": 100}},
    {"healthCheck": {"active": {"tcp": {}, "interval": "1h", "timeout": "10s", "healthyThreshold": 100}}},
    {"healthCheck": {"active": {"http": {"path": "/", "expectedStatuses": [200, 599]}}}},
    {"healthCheck": {"active": {"grpc": {}}}, "protocol": "HTTP2"},
    {"healthCheck": {"passive": {"interval": "100ms", "ejection": {"base": "1ms", "maxPercent": 100}}}},
    {"healthCheck": {"passive": {"interval": "1h", "ejection": {"base": "24h", "maxPercent": 1}}}},
]


@pytest.mark.envoy
async def test_envoy_takes_what_stands_at_the_bounds() -> None:
    found = []
    for number, spec in enumerate(EXTREMES):
        one = as_dict(cluster(**spec))
        found.append({**one, "name": f"c{number}"})
        if "load_assignment" in one:
            one["load_assignment"]["cluster_name"] = f"c{number}"
    assert await validate({"static_resources": {"clusters": found}}) is None
