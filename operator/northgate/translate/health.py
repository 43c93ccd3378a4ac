"""How does Envoy learn which endpoints are well? Active checks, outlier detection and the panic threshold."""

from __future__ import annotations

from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.health_check_pb2 import HealthCheck
from envoy.type.v3.http_pb2 import CodecClientType

from northgate.api.base import milliseconds
from northgate.api.health import ActiveCheck, HttpCheck, PassiveCheck

_ALL = 100


def active_check(check: ActiveCheck, host: str, protocol: str | None) -> HealthCheck:
    """The check of an Upstream that speaks `protocol`; `host` is asked for where the check names none."""
    found = HealthCheck()
    interval = milliseconds(check.interval or "5s")
    found.interval.FromMilliseconds(interval)
    # Envoy's own default lets an upstream without traffic, or without a well endpoint, wait for a minute.
    found.no_traffic_interval.FromMilliseconds(interval)
    found.interval_jitter_percent = 20
    found.timeout.FromMilliseconds(milliseconds(check.timeout or "1s"))
    found.healthy_threshold.value = check.healthy_threshold or 2
    found.unhealthy_threshold.value = check.unhealthy_threshold or 3
    if check.http is not None:
        _http(found, check.http, host, protocol)
    elif check.grpc is not None:
        found.grpc_health_check.authority = host
        found.grpc_health_check.service_name = check.grpc.service or ""
    else:
        found.tcp_health_check.SetInParent()
    return found


def _http(found: HealthCheck, check: HttpCheck, host: str, protocol: str | None) -> None:
    http = found.http_health_check
    http.path = check.path
    http.host = check.host or host
    for status in sorted(set(check.expected_statuses or (200,))):
        http.expected_statuses.add(start=status, end=status + 1)
    # Without this one wrong status would count as much as `unhealthyThreshold` of them.
    http.retriable_statuses.add(start=100, end=600)
    if protocol in ("HTTP2", "GRPC"):
        http.codec_client_type = CodecClientType.HTTP2
    elif protocol == "Auto":
        found.tls_options.alpn_protocols.append("http/1.1")


def outlier_detection(check: PassiveCheck) -> OutlierDetection:
    """Ejection by failures in a row alone; comparing endpoints with each other is Envoy's default, not ours."""
    found = OutlierDetection()
    by_5xx = check.consecutive5xx is not None or check.consecutive_gateway_errors is None
    found.consecutive_5xx.value = check.consecutive5xx or 5
    found.enforcing_consecutive_5xx.value = _ALL if by_5xx else 0
    found.consecutive_gateway_failure.value = check.consecutive_gateway_errors or 5
    found.enforcing_consecutive_gateway_failure.value = _ALL if check.consecutive_gateway_errors is not None else 0
    found.enforcing_success_rate.value = 0
    found.interval.FromMilliseconds(milliseconds(check.interval or "10s"))
    ejection = check.ejection
    base = (ejection.base if ejection is not None else None) or "30s"
    found.base_ejection_time.FromMilliseconds(milliseconds(base))
    share = ejection.max_percent if ejection is not None else None
    found.max_ejection_percent.value = share or 50
    found.always_eject_one_host.value = True
    return found
