"""What is an Upstream? Where requests can be sent, and how carefully."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.base import Duration, Label, Model, Name, Port, PreciseHostname, exactly_one, text

Limit = Annotated[int, Field(ge=1, le=10_000_000)]


class CircuitBreaker(Model):
    """Limits per proxy on what an upstream is given at a time."""

    max_connections: Limit | None = None
    """Connections to the whole upstream; 100000 when absent."""
    max_pending_requests: Limit | None = None
    """Requests waiting for a connection; 10000 when absent."""
    max_requests: Limit | None = None
    """Requests in flight; 100000 when absent."""
    max_retries: Limit | None = None
    """Retries in flight; 1000 when absent."""


class UpstreamDefaults(Model):
    """Connection settings inherited by Services and Upstreams."""

    connect_timeout: Duration | None = None
    """Time to establish a connection; `2s` when absent."""
    circuit_breaker: CircuitBreaker | None = None
    """Limits on what a backend is given at a time."""


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
    priority: Annotated[int, Field(ge=0, le=15)] | None = None
    """0 (when absent) is used first; others when too few of the lower ones are healthy."""


class StaticEndpoint(Model):
    """One address."""

    address: Annotated[str, text(r"[0-9A-Fa-f.:]+", 45)]
    """IPv4 or IPv6 address. For names use `dns`."""
    port: Port
    """Port of the endpoint."""
    weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Share of requests relative to the other endpoints; 1 when absent."""
    priority: Annotated[int, Field(ge=0, le=15)] | None = None
    """0 (when absent) is used first."""
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
    """Which addresses are used; `V4Preferred` when absent."""


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
    connect_timeout: Duration | None = None
    """Time to establish a connection; the gateway's default, else `2s`, when absent."""
    idle_timeout: Duration | None = None
    """Time after which an unused connection is closed; `1h` when absent."""
    circuit_breaker: CircuitBreaker | None = None
    """Limits per proxy; the gateway's defaults when absent."""

    cross_rules = (exactly_one("services", "static", "dns"),)
