"""How does a proxy prove who it is to the control plane, and know it? By certificates in files, read anew when changed.

The bootstrap names two files in the folder it lies in itself. Each is a discovery response with one secret, and names
the certificates' files. When the folder of those is swapped, as the kubelet does, Envoy reads them anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToJson

CERTIFICATE_FILE = "xds-certificate.json"
TRUST_FILE = "xds-trust.json"

_CERTIFICATE = "xds_certificate"
_TRUST = "xds_trust"


@dataclass(frozen=True, slots=True)
class Mtls:
    """The folder with the two files, which are called `CERTIFICATE_FILE` and `TRUST_FILE`."""

    folder: str


def certificate_source(folder: str) -> str:
    """The file that says where the proxy's own certificate is: `tls.crt` and `tls.key` in a folder. JSON."""
    secret = secret_pb2.Secret(name=_CERTIFICATE)
    pair = secret.tls_certificate
    pair.certificate_chain.filename = f"{folder}/tls.crt"
    pair.private_key.filename = f"{folder}/tls.key"
    pair.watched_directory.path = folder
    return _response(secret)


def trust_source(folder: str, host: str) -> str:
    """The file that says whom the proxy believes: who has a certificate for `host` of `ca.crt` in a folder. JSON."""
    secret = secret_pb2.Secret(name=_TRUST)
    context = secret.validation_context
    context.trusted_ca.filename = f"{folder}/ca.crt"
    context.watched_directory.path = folder
    name = context.match_typed_subject_alt_names.add()
    kind = common_pb2.SubjectAltNameMatcher
    name.san_type = kind.IP_ADDRESS if _is_address(host) else kind.DNS
    name.matcher.exact = host
    return _response(secret)


def xds_socket(tls: Mtls, host: str) -> base_pb2.TransportSocket:
    """The transport socket of the control plane's cluster."""
    context = tls_pb2.UpstreamTlsContext(sni="" if _is_address(host) else host)
    common = context.common_tls_context
    common.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_3
    common.tls_params.tls_maximum_protocol_version = common_pb2.TlsParameters.TLSv1_3
    certificate = common.tls_certificate_sds_secret_configs.add(name=_CERTIFICATE)
    certificate.sds_config.CopyFrom(_file(f"{tls.folder}/{CERTIFICATE_FILE}"))
    common.validation_context_sds_secret_config.name = _TRUST
    common.validation_context_sds_secret_config.sds_config.CopyFrom(_file(f"{tls.folder}/{TRUST_FILE}"))
    socket = base_pb2.TransportSocket(name="envoy.transport_sockets.tls")
    socket.typed_config.Pack(context, deterministic=True)
    return socket


def _file(path: str) -> config_source_pb2.ConfigSource:
    source = config_source_pb2.ConfigSource(resource_api_version=config_source_pb2.V3)
    source.path_config_source.path = path
    return source


def _response(secret: secret_pb2.Secret) -> str:
    response = discovery_pb2.DiscoveryResponse()
    response.resources.add().Pack(secret, deterministic=True)
    return str(MessageToJson(response, preserving_proto_field_name=True, sort_keys=True))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
