"""How do certificates reach a proxy? As SDS resources with stable names; private keys appear nowhere else."""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from northgate.api import kubernetes as k8s
from northgate.translate import names
from northgate.world.store import Name


def certificate(name: Name, secret: k8s.Secret) -> Secret:
    """The certificate chain and key of a `kubernetes.io/tls` Secret."""
    resource = Secret(name=names.certificate(name))
    resource.tls_certificate.certificate_chain.inline_bytes = secret.data["tls.crt"]
    resource.tls_certificate.private_key.inline_bytes = secret.data["tls.key"]
    return resource
