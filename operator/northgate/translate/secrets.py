"""How do certificates reach a proxy? As SDS resources with stable names; private keys appear nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from northgate.api import kubernetes as k8s


def certificate(name: str, secret: k8s.Secret) -> Secret:
    """The certificate chain and key of a `kubernetes.io/tls` Secret."""
    resource = Secret(name=name)
    resource.tls_certificate.certificate_chain.inline_bytes = secret.data["tls.crt"]
    resource.tls_certificate.private_key.inline_bytes = secret.data["tls.key"]
    return resource


def authorities(name: str, bundles: Iterable[bytes]) -> Secret:
    """Authorities' certificates, each bundle in PEM. Whose certificates they may sign is the cluster's to say."""
    resource = Secret(name=name)
    resource.validation_context.trusted_ca.inline_bytes = b"\n".join(bundle.strip() for bundle in bundles) + b"\n"
    return resource
