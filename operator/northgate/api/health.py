"""Which endpoints are well enough to be used? Checks that proxies make, and failures they notice in passing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from northgate.api.base import AbsolutePath, Duration, Model, PreciseHostname, at_least_one, exactly_one, text

Threshold = Annotated[int, Field(ge=1, le=100)]
Failures = Annotated[int, Field(ge=1, le=10_000)]
WholePercent = Annotated[int, Field(ge=0, le=100)]


class HttpCheck(Model):
    """A GET request that a well endpoint answers with an expected status; by HTTP/1.1 where `protocol` is `Auto`."""

    path: AbsolutePath
    """Path that is asked for."""
    host: PreciseHostname | None = None
    """Host that is asked for; when absent the name in `tls.sni` or `dns.hostname`, else `name.namespace` of the
    Upstream."""
    expected_statuses: (
        Annotated[tuple[Annotated[int, Field(ge=200, le=599)], ...], Field(min_length=1, max_length=16)] | None
    ) = None
    """Statuses of a well endpoint; 200 when absent."""


class TcpCheck(Model):
    """A connection that a well endpoint accepts."""


class GrpcCheck(Model):
    """A call of `grpc.health.v1.Health/Check` that a well endpoint answers with `SERVING`."""

    service: Annotated[str, text(r"[A-Za-z0-9._/-]+", 256)] | None = None
    """The service that is asked about; the server as a whole when absent."""


class ActiveCheck(Model):
    """Ask every endpoint again and again whether it is well. Each proxy asks for itself."""

    http: HttpCheck | None = None
    """Ask by HTTP."""
    tcp: TcpCheck | None = None
    """Ask by opening a connection."""
    grpc: GrpcCheck | None = None
    """Ask by gRPC; needs `protocol: GRPC` or `HTTP2`."""
    interval: Duration | None = None
    """Time between two checks of an endpoint, stretched at random by up to a fifth; `5s` when absent."""
    timeout: Duration | None = None
    """Time an answer may take, `10s` at most; `1s` when absent."""
    healthy_threshold: Threshold | None = None
    """Good answers in a row after which an ill endpoint is used again; 2 when absent."""
    unhealthy_threshold: Threshold | None = None
    """Bad answers in a row after which an endpoint is not used; 3 when absent."""

    cross_rules = (exactly_one("http", "tcp", "grpc"),)


class Ejection(Model):
    """How long and how many endpoints are left out."""

    base: Duration | None = None
    """Time of the first ejection; each further one of the same endpoint lasts once more as long; `30s` when absent."""
    max_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Share of the endpoints that may be left out at a time, in percent; 50 when absent. One may always be."""


class PassiveCheck(Model):
    """Leave out endpoints whose answers to ordinary requests show that they are ill."""

    consecutive5xx: Annotated[Failures | None, Field(alias="consecutive5xx")] = None
    """Failed requests in a row, answered 5xx or not at all; 5 when absent, not counted when only
    `consecutiveGatewayErrors` is set."""
    consecutive_gateway_errors: Failures | None = None
    """Requests in a row answered 502, 503 or 504 or not at all; not counted on their own when absent."""
    interval: Duration | None = None
    """Time between two looks at which endpoints may come back; `10s` when absent."""
    ejection: Ejection | None = None
    """How long and how many endpoints are left out."""


class HealthCheckDefaults(Model):
    """Which endpoints are used, for Services and for Upstreams without an own block."""

    passive: PassiveCheck | None = None
    """Leave out endpoints that fail ordinary requests."""
    panic_threshold: WholePercent | None = None
    """Percent of healthy endpoints below which all are used, ill ones too: few would break under the load of many; 50
    when absent, 0 never does it."""

    cross_rules = (at_least_one("passive", "panicThreshold"),)


class HealthCheck(Model):
    """Which endpoints are well enough to be used."""

    active: ActiveCheck | None = None
    """Ask every endpoint whether it is well."""
    passive: PassiveCheck | None = None
    """Leave out endpoints that fail ordinary requests; as the gateway's defaults say when absent."""
    panic_threshold: WholePercent | None = None
    """Percent of healthy endpoints below which all are used, ill ones too: few would break under the load of many; the
    gateway's default, else 50, when absent; 0 never does it."""

    cross_rules = (at_least_one("active", "passive", "panicThreshold"),)
