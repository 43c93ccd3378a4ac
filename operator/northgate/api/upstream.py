"""What is an Upstream? Where requests can be sent, and how carefully."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.balancing import LoadBalancer
from northgate.api.base import (
    CrossRule,
    Duration,
    Label,
    Model,
    Name,
    Port,
    PreciseHostname,
    at_least_one,
    exactly_one,
    text,
)
from northgate.api.health import HealthCheck, HealthCheckDefaults
from northgate.api.refs import SecretRef

Limit = Annotated[int, Field(ge=1, le=10_000_000)]
Priority = Annotated[int, Field(ge=0, le=15)]
Weight = Annotated[int, Field(ge=1, le=1000)]

SubjectAltName = Annotated[str, text(r"((\*\.)?[a-z0-9][a-z0-9.-]*|[a-z][a-z0-9+.-]*://[!-~]+)", 253)]
"""A name a certificate is for: a DNS name in lower case, or a URI such as `spiffe://example.org/api`."""


class EndpointLimits(Model):
    """Limits on what one endpoint is given by one proxy at a time."""

    max_connections: Limit
    """Connections to each endpoint. A request that would need one more waits for a free one."""


class CircuitBreaker(Model):
    """Limits per proxy on what an upstream is given at a time. What exceeds them is answered 503 at once."""

    max_connections: Limit | None = None
    """Connections to the whole upstream; 100000 when absent."""
    max_pending_requests: Limit | None = None
    """Requests waiting for a connection, also while it is being made; 10000 when absent."""
    max_requests: Limit | None = None
    """Requests in flight; 100000 when absent."""
    max_retries: Limit | None = None
    """Retries in flight; 1000 when absent."""
    per_endpoint: EndpointLimits | None = None
    """Limits on what each endpoint is given; none when absent."""

    cross_rules = (at_least_one("maxConnections", "maxPendingRequests", "maxRequests", "maxRetries", "perEndpoint"),)


class UpstreamDefaults(Model):
    """Connection settings inherited by Services and Upstreams."""

    connect_timeout: Duration | None = None
    """Time to establish a connection; `2s` when absent."""
    circuit_breaker: CircuitBreaker | None = None
    """Limits on what a backend is given at a time."""
    health_check: HealthCheckDefaults | None = None
    """Which endpoints of a backend are used."""


class Locality(Model):
    """Where endpoints are."""

    region: Label | None = None
    """Region, such as `eu-central`."""
    zone: Label | None = None
    """Zone inside the region."""


class ServiceSource(Model):
    """Endpoints of a Kubernetes Service in the Upstream's namespace."""

    name: Name
    """Name of the Service."""
    port: Port
    """Port of the Service."""
    locality: Locality | None = None
    """Where these endpoints are; as the EndpointSlices say when absent."""
    priority: Priority | None = None
    """0 (when absent) is used first; others when too few of the lower ones are healthy."""
    weight: Weight | None = None
    """Share of requests relative to the other Services of the same priority, however many endpoints each has; 1 when
    absent. When no Service has a weight, all endpoints are equal."""


class StaticEndpoint(Model):
    """One address."""

    address: Annotated[str, text(r"[0-9A-Fa-f.:]+", 45)]
    """IPv4 or IPv6 address. For names use `dns`."""
    port: Port
    """Port of the endpoint."""
    weight: Weight | None = None
    """Share of requests relative to the other endpoints; 1 when absent."""
    priority: Priority | None = None
    """0 (when absent) is used first; others when too few of the lower ones are healthy."""
    locality: Locality | None = None
    """Where this endpoint is."""


class Dns(Model):
    """Endpoints found by resolving a name."""

    hostname: PreciseHostname
    """The name; every address it has is an endpoint."""
    port: Port
    """Port of the endpoints."""
    refresh: Duration | None = None
    """Time between two look-ups; as the record's time to live says when absent."""
    family: Literal["V4Only", "V6Only", "V4Preferred", "All"] | None = None
    """Which addresses are used: `V4Preferred` (when absent) takes IPv6 only where there is no IPv4."""


class UpstreamTls(Model):
    """TLS to the endpoints. Their certificates are always verified."""

    sni: PreciseHostname | None = None
    """Name asked for, and the name the certificate must be for unless `subjectAltNames` says otherwise; `dns.hostname`
    when absent."""
    ca_certificate_refs: Annotated[tuple[SecretRef, ...], Field(min_length=1, max_length=8)]
    """Secrets or ConfigMaps with certificates of the authorities that are trusted, in their key `ca.crt`. There is no
    default: what a proxy's host happens to trust is not for an edge to rely on. Without a usable one nothing is sent
    and rules that need this Upstream answer 500."""
    client_certificate_ref: SecretRef | None = None
    """Secret of type `kubernetes.io/tls` with the certificate shown to the endpoints. While it is not usable nothing is
    sent and rules that need this Upstream answer 500."""
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Field(min_length=1, max_length=16)] | None = None
    """DNS names or URIs, one of which the certificate must be for; `sni` when absent."""
    min_version: Literal["1.2", "1.3"] | None = None
    """Oldest TLS version that is spoken; `"1.2"` when absent."""

    cross_rules = (
        CrossRule(
            "!has(self.clientCertificateRef) || !has(self.clientCertificateRef.kind) "
            "|| self.clientCertificateRef.kind == 'Secret'",
            "clientCertificateRef needs a private key, so a Secret; remove its kind",
            lambda tls: tls.client_certificate_ref is None or tls.client_certificate_ref.kind != "ConfigMap",
        ),
    )


class UpstreamSpec(Model):
    """Exactly one source of endpoints, and how they are used."""

    services: Annotated[tuple[ServiceSource, ...], Field(min_length=1, max_length=16)] | None = None
    """Endpoints of Kubernetes Services."""
    static: Annotated[tuple[StaticEndpoint, ...], Field(min_length=1, max_length=256)] | None = None
    """A fixed list of addresses."""
    dns: Dns | None = None
    """Addresses of a name."""
    protocol: Literal["HTTP1", "HTTP2", "GRPC", "Auto"] | None = None
    """What the endpoints speak; `HTTP1` when absent, `Auto` asks each endpoint by ALPN and needs TLS."""
    load_balancer: LoadBalancer | None = None
    """How an endpoint is chosen for each request; the less busy of two drawn at random when absent."""
    health_check: HealthCheck | None = None
    """Which endpoints are well enough to be used; all that are ready when absent."""
    circuit_breaker: CircuitBreaker | None = None
    """Limits per proxy; the gateway's defaults when absent."""
    tls: UpstreamTls | None = None
    """TLS to the endpoints; clear text when absent."""
    connect_timeout: Duration | None = None
    """Time to establish a connection; the gateway's default, else `2s`, when absent."""
    idle_timeout: Duration | None = None
    """Time after which an unused connection is closed; `1h` when absent."""

    cross_rules = (
        exactly_one("services", "static", "dns"),
        CrossRule(
            "!has(self.protocol) || self.protocol != 'Auto' || has(self.tls)",
            "protocol Auto asks endpoints by ALPN, which is part of TLS; set tls or another protocol",
            lambda spec: spec.protocol != "Auto" or spec.tls is not None,
        ),
        CrossRule(
            "!has(self.tls) || has(self.tls.sni) || has(self.dns)",
            "tls.sni is required unless the endpoints come from dns",
            lambda spec: spec.tls is None or spec.tls.sni is not None or spec.dns is not None,
        ),
        CrossRule(
            "!has(self.healthCheck) || !has(self.healthCheck.active) || !has(self.healthCheck.active.grpc) "
            "|| (has(self.protocol) && self.protocol in ['GRPC', 'HTTP2'])",
            "healthCheck.active.grpc needs protocol GRPC or HTTP2",
            lambda spec: not _grpc_check(spec) or spec.protocol in ("GRPC", "HTTP2"),
        ),
    )


def _grpc_check(spec: UpstreamSpec) -> bool:
    active = spec.health_check.active if spec.health_check is not None else None
    return active is not None and active.grpc is not None
