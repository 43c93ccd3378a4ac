"""What is an EdgeGateway? The edge of one PoP: its listeners and what their routes and upstreams inherit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict

from northgate.api.base import CrossRule, Hostname, Label, Model, text, unique
from northgate.api.labels import LabelName, LabelValue
from northgate.api.proxy import Proxy
from northgate.api.refs import SecretRef
from northgate.api.upstream import UpstreamDefaults
from northgate.features.retry import Retry
from northgate.features.timeouts import Timeouts

TlsVersion = Literal["1.2", "1.3"]

_POP = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_IMMUTABLE: JsonDict = {
    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "cannot change; make a new EdgeGateway"}]
}


class LabelSelector(Model):
    """Namespaces by their labels."""

    match_labels: Annotated[dict[LabelName, LabelValue], Field(min_length=1, max_length=16)]
    """Labels a namespace must have, all of them."""


class RouteNamespaces(Model):
    """Which namespaces may attach Routes."""

    from_: Annotated[Literal["Same", "All", "Selector"], Field(alias="from")]
    """`Same`: the gateway's own namespace. `All`: every namespace. `Selector`: those whose labels match."""
    selector: LabelSelector | None = None
    """The labels, for `from: Selector`."""

    cross_rules = (
        CrossRule(
            "(self.from == 'Selector') == has(self.selector)",
            "selector is required for from: Selector and forbidden otherwise",
            lambda block: (block.from_ == "Selector") == (block.selector is not None),
        ),
    )


class HostnameDelegation(Model):
    """Hostnames handed to some namespaces; nobody else may claim them on this listener."""

    namespaces: Annotated[tuple[Label, ...], Field(min_length=1, max_length=32)]
    """Namespaces whose Routes may use the hostnames."""
    hostnames: Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=64)]
    """The hostnames; `*.shop.example` covers every name below it."""


class AllowedRoutes(Model):
    """Who may attach Routes to a listener, and with which hostnames."""

    namespaces: RouteNamespaces | None = None
    """Namespaces whose Routes may attach; the gateway's own when absent."""
    hostnames: Annotated[tuple[HostnameDelegation, ...], Field(min_length=1, max_length=64)] | None = None
    """Delegated hostnames. A hostname that no entry covers may be used by every allowed namespace."""


class ListenerTls(Model):
    """TLS of a listener."""

    mode: Literal["Terminate", "Passthrough"] | None = None
    """`Terminate` (when absent): the gateway holds the certificate. `Passthrough`: the backend does."""
    certificate_refs: Annotated[tuple[SecretRef, ...], Field(min_length=1, max_length=8)] | None = None
    """Secrets of type `kubernetes.io/tls`; several serve RSA and ECDSA clients from one listener."""
    min_version: TlsVersion | None = None
    """Oldest TLS version accepted; `"1.2"` when absent."""
    max_version: TlsVersion | None = None
    """Newest TLS version offered; `"1.3"` when absent."""

    cross_rules = (
        CrossRule(
            "has(self.mode) && self.mode == 'Passthrough' ? !has(self.certificateRefs) : has(self.certificateRefs)",
            "certificateRefs is required to terminate TLS and forbidden for mode: Passthrough",
            lambda tls: (tls.mode == "Passthrough") == (tls.certificate_refs is None),
        ),
        CrossRule(
            "!has(self.mode) || self.mode != 'Passthrough' || !(has(self.minVersion) || has(self.maxVersion))",
            "minVersion and maxVersion are the backend's for mode: Passthrough; remove them",
            lambda tls: tls.mode != "Passthrough" or tls.present("minVersion", "maxVersion") == 0,
        ),
        CrossRule(
            "!has(self.minVersion) || !has(self.maxVersion) || self.minVersion <= self.maxVersion",
            "minVersion must not be newer than maxVersion",
            lambda tls: not (tls.min_version and tls.max_version) or tls.min_version <= tls.max_version,
        ),
    )


class Listener(Model):
    """A port the edge listens on, for one protocol and, with TLS or HTTP, for some hostnames."""

    name: Label
    """Name of the listener, unique in the gateway; Routes refer to it as `sectionName`."""
    port: Annotated[int, Field(ge=1, le=64_509)]
    """Port clients connect to. Those above 64509 are the proxies' own."""
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP"]
    """`TLS` routes by server name without HTTP; `TCP` forwards every connection."""
    hostname: Hostname | None = None
    """Hostnames served here, `*.` in front for all below; every hostname when absent."""
    tls: ListenerTls | None = None
    """Certificates and versions, for HTTPS and TLS."""
    allowed_routes: AllowedRoutes | None = None
    """Which Routes may attach; those of the gateway's own namespace when absent."""

    cross_rules = (
        CrossRule(
            "(self.protocol in ['HTTPS', 'TLS']) == has(self.tls)",
            "tls is required for protocol HTTPS and TLS and forbidden otherwise",
            lambda listener: (listener.protocol in ("HTTPS", "TLS")) == (listener.tls is not None),
        ),
        CrossRule(
            "self.protocol != 'HTTPS' || !has(self.tls) || !has(self.tls.mode) || self.tls.mode == 'Terminate'",
            "protocol HTTPS terminates TLS; use protocol TLS for mode: Passthrough",
            lambda listener: listener.protocol != "HTTPS" or listener.tls is None or listener.tls.mode != "Passthrough",
        ),
        CrossRule(
            "self.protocol != 'TCP' || !has(self.hostname)",
            "a TCP listener has no hostname: TCP carries none",
            lambda listener: listener.protocol != "TCP" or listener.hostname is None,
        ),
        CrossRule(
            "self.protocol != 'TCP' || !has(self.allowedRoutes) || !has(self.allowedRoutes.hostnames)",
            "a TCP listener has no hostnames to delegate: TCP carries none; remove allowedRoutes.hostnames",
            lambda listener: (
                listener.protocol != "TCP"
                or listener.allowed_routes is None
                or listener.allowed_routes.hostnames is None
            ),
        ),
    )


class Defaults(Model):
    """What every Route and Upstream of the gateway inherits unless it says otherwise."""

    timeouts: Timeouts | None = None
    """Timeouts of rules without an own `timeouts` block."""
    retry: Retry | None = None
    """Retries of rules without an own `retry` block."""
    upstream: UpstreamDefaults | None = None
    """Connection settings of Services, and of Upstreams that leave them out."""


class Hardening(Model):
    """Protection against hostile clients. Everything is on unless an exception names it."""

    profile: Literal["Edge"] | None = None
    """`Edge`, the only profile: path normalisation, header rules, limits and timeouts for untrusted clients."""
    exceptions: (
        Annotated[
            tuple[Literal["UnderscoreHeaders", "EscapedSlashes", "MergeSlashes", "StreamTimeouts"], ...],
            Field(min_length=1, max_length=4),
        ]
        | None
    ) = None
    """Protections to leave out: `UnderscoreHeaders` accepts header names with underscores, `EscapedSlashes` keeps
    `%2f` in paths, `MergeSlashes` keeps `//`, `StreamTimeouts` lets requests and idle streams last for ever."""
    trusted_hops: Annotated[int, Field(ge=0, le=8)] | None = None
    """Proxies in front of the edge that append to `x-forwarded-for`; 0 when absent: the peer is the client, and what
    it sends of `x-forwarded-*`, `forwarded`, `x-real-ip`, `x-client-ip` and `true-client-ip` is removed."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Client connections one proxy keeps open at a time over all its listeners; 50000 when absent. A proxy takes a new
    number when it starts."""


class EdgeGatewaySpec(Model):
    """Listeners of one PoP's edge and the defaults of what attaches to them."""

    pop: Annotated[str, text(_POP, 32), Field(json_schema_extra=_IMMUTABLE)] | None = None
    """Short name of the point of presence, stamped on metrics and proxies."""
    listeners: Annotated[tuple[Listener, ...], Field(min_length=1, max_length=64)]
    """Ports the edge listens on."""
    defaults: Defaults | None = None
    """Inherited by routes and upstreams."""
    hardening: Hardening | None = None
    """Protection against hostile clients; on when absent."""
    proxy: Proxy | None = None
    """The proxies, in a cluster."""

    cross_rules = (unique("listeners", by="name"),)
