"""How are certificates kept? In Secrets: read without trust in what they hold, written as documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from northgate.kube.pki import Authorities, Pair
from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import MANAGER, Document, certificate_name, metadata

_CERTIFICATE, _KEY, _TRUSTED = "tls.crt", "tls.key", "ca.crt"
_NEXT_CERTIFICATE, _NEXT_KEY, _RETIRED = "next.crt", "next.key", "retired.crt"
_LABELS = {"app.kubernetes.io/part-of": "northgate", "app.kubernetes.io/managed-by": MANAGER}


def authorities_secret(namespace: str, name: str, authorities: Authorities) -> Document:
    """The Secret of the authorities, with their keys: for the control plane's eyes alone."""
    following = authorities.following
    data = {
        _CERTIFICATE: authorities.signer.certificate,
        _KEY: authorities.signer.key,
        **({_NEXT_CERTIFICATE: following.certificate, _NEXT_KEY: following.key} if following else {}),
        _RETIRED: b"".join(authorities.retired),
    }
    return _secret({"namespace": namespace, "name": name, "labels": dict(_LABELS)}, data, "Opaque")


def server_secret(namespace: str, name: str, leaf: Pair, authorities: Authorities) -> Document:
    """The Secret of the control plane's certificate and of the authorities its proxies come from."""
    return _leaf_secret({"namespace": namespace, "name": name, "labels": dict(_LABELS)}, leaf, authorities)


def client_secret(gateway: Gateway, leaf: Pair, authorities: Authorities) -> Document:
    """The Secret of the certificate of a gateway's proxies, which their pods mount."""
    return _leaf_secret(metadata(gateway, certificate_name(gateway)), leaf, authorities)


def held_authorities(secret: Mapping[str, Any] | None) -> Authorities | None:
    """The authorities in a Secret; None when there is none or what it holds is no use."""
    data = _data(secret)
    signer = _pair(data, _CERTIFICATE, _KEY)
    if signer is None:
        return None
    return Authorities(signer, _pair(data, _NEXT_CERTIFICATE, _NEXT_KEY), _certificates(data.get(_RETIRED, b"")))


def held_leaf(secret: Mapping[str, Any] | None) -> Pair | None:
    """The pair in a Secret; None when there is none or what it holds is no use."""
    return _pair(_data(secret), _CERTIFICATE, _KEY)


def _leaf_secret(about: Document, leaf: Pair, authorities: Authorities) -> Document:
    data = {_CERTIFICATE: leaf.certificate, _KEY: leaf.key, _TRUSTED: authorities.trusted}
    return _secret(about, data, "kubernetes.io/tls")


def _secret(about: Document, data: Mapping[str, bytes], kind: str) -> Document:
    encoded = {name: base64.b64encode(value).decode() for name, value in sorted(data.items())}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "type": kind, "data": encoded}


def _data(secret: Mapping[str, Any] | None) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value) for name, value in ((secret or {}).get("data") or {}).items()}
    except (binascii.Error, TypeError, AttributeError):
        return {}


def _pair(data: Mapping[str, bytes], certificate: str, key: str) -> Pair | None:
    """A pair that belongs together."""
    found = Pair(data.get(certificate, b""), data.get(key, b""))
    try:
        public = x509.load_pem_x509_certificate(found.certificate).public_key()
        private = serialization.load_pem_private_key(found.key, None)
    except (ValueError, TypeError):
        return None
    return found if private.public_key() == public else None


def _certificates(bundle: bytes) -> tuple[bytes, ...]:
    try:
        found = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return ()
    return tuple(one.public_bytes(serialization.Encoding.PEM) for one in found)
