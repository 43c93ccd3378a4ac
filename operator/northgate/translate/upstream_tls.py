"""How does a proxy speak TLS to endpoints? Always verifying them; certificates and authorities come by SDS."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2

from northgate.api.upstream import UpstreamSpec, UpstreamTls
from northgate.resolve.upstreams import Credential, Trust
from northgate.translate import names
from northgate.translate.sources import ads

_VERSIONS = {"1.2": common_pb2.TlsParameters.TLSv1_2, "1.3": common_pb2.TlsParameters.TLSv1_3}
_PROTOCOLS = {"HTTP1": "http/1.1", "HTTP2": "h2", "GRPC": "h2"}


def tls_socket(spec: UpstreamSpec, tls: UpstreamTls, trust: Trust) -> TransportSocket:
    """The transport socket of an Upstream with TLS."""
    context = tls_pb2.UpstreamTlsContext(sni=server_name(spec) or "")
    common = context.common_tls_context
    common.tls_params.tls_minimum_protocol_version = _VERSIONS[tls.min_version or "1.2"]
    # For clients Envoy itself stops at 1.2 unless told otherwise.
    common.tls_params.tls_maximum_protocol_version = common_pb2.TlsParameters.TLSv1_3
    if spec.protocol != "Auto":
        common.alpn_protocols.append(_PROTOCOLS[spec.protocol or "HTTP1"])
    _verify(common.combined_validation_context, tls.subject_alt_names or (context.sni,), trust)
    if trust.client is not None:
        _from_ads(common.tls_certificate_sds_secret_configs.add(), trust.client)
    socket = TransportSocket(name="envoy.transport_sockets.tls")
    socket.typed_config.Pack(context, deterministic=True)
    return socket


def server_name(spec: UpstreamSpec) -> str | None:
    """The name endpoints are asked for and verified by."""
    sni = spec.tls.sni if spec.tls is not None else None
    return sni or (spec.dns.hostname if spec.dns is not None else None)


def _verify(validation: Any, alt_names: tuple[str, ...], trust: Trust) -> None:
    for name in alt_names:
        kind = common_pb2.SubjectAltNameMatcher.URI if "://" in name else common_pb2.SubjectAltNameMatcher.DNS
        matcher = validation.default_validation_context.match_typed_subject_alt_names.add(san_type=kind)
        matcher.matcher.exact = name
    _from_ads(validation.validation_context_sds_secret_config, trust.authorities)


def _from_ads(config: Any, what: Credential) -> None:
    config.name = names.credential(what)
    config.sds_config.CopyFrom(ads())
