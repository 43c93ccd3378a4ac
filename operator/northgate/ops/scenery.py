"""What do the examples need around them? Upstreams on this machine, and a certificate made on the spot."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from northgate.ops.echo_server import EchoTls, EchoUpstreams
from northgate.world.key import ObjectKey

HTTP_UPSTREAMS = ("echo-a", "echo-b", "echo-c")
TCP_UPSTREAMS = ("tcp-a", "tcp-b")
TLS_UPSTREAMS = ("tls-a",)
UPSTREAMS = (*HTTP_UPSTREAMS, *TCP_UPSTREAMS, *TLS_UPSTREAMS)
"""Each has a Service of its name whose one port has the name `http`, `tcp` or `tls`."""

NAMESPACE = "demo"

_ADDRESSES = {f"192.0.2.{number}": name for number, name in enumerate(HTTP_UPSTREAMS, 1)}
_HOSTNAMES = {f"{name}.example.net": name for name in HTTP_UPSTREAMS}
"""Documentation addresses and names in the examples' Upstreams stand for the upstreams that run here."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key, and the authority that signed it, as PEM."""

    certificate: str
    key: str
    authority: str


def upstreams(pair: Pair, folder: Path) -> EchoUpstreams:
    """The upstreams behind the examples' Services. Those that speak TLS themselves read the pair from the folder."""
    certificate, key = folder / "upstream.crt", folder / "upstream.key"
    certificate.write_text(pair.certificate)
    key.touch(mode=0o600)
    key.write_text(pair.key)
    secure = {name: EchoTls(certificate, key) for name in TLS_UPSTREAMS}
    return EchoUpstreams(HTTP_UPSTREAMS, tcp=TCP_UPSTREAMS, secure=secure)


def endpoint_slices(ports: Mapping[str, int]) -> Iterator[tuple[ObjectKey, dict[str, Any]]]:
    """The endpoints of the examples' Services: `ports` says where each upstream listens on 127.0.0.1."""
    for name, port in ports.items():
        key = ObjectKey("discovery.k8s.io", "EndpointSlice", NAMESPACE, f"{name}-local")
        yield (
            key,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": key.name,
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": [{"name": _port_name(name), "port": port}],
                "endpoints": [{"addresses": ["127.0.0.1"]}],
            },
        )


def _port_name(upstream: str) -> str:
    return "http" if upstream in HTTP_UPSTREAMS else "tcp" if upstream in TCP_UPSTREAMS else "tls"


def secret(namespace: str, name: str, pair: Pair) -> tuple[ObjectKey, dict[str, Any]]:
    """A pair as a `kubernetes.io/tls` Secret."""
    return ObjectKey("", "Secret", namespace, name), {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": _encoded(pair.certificate), "tls.key": _encoded(pair.key)},
    }


def localised(document: Mapping[str, Any], ports: Mapping[str, int]) -> Mapping[str, Any]:
    """An example's object with documentation addresses replaced by the upstreams that run on this machine."""
    spec = document.get("spec")
    if document.get("kind") != "Upstream" or not isinstance(spec, Mapping):
        return document
    changed = dict(spec)
    if "static" in spec:
        changed["static"] = [_local(one, "address", _ADDRESSES, ports) for one in spec["static"]]
    if "dns" in spec:
        changed["dns"] = _local(spec["dns"], "hostname", _HOSTNAMES, ports)
    return {**document, "spec": changed}


def _local(
    target: Mapping[str, Any], field: str, known: Mapping[str, str], ports: Mapping[str, int]
) -> Mapping[str, Any]:
    upstream = known.get(target.get(field, ""))
    if upstream is None or upstream not in ports:
        return target
    here = "127.0.0.1" if field == "address" else "localhost"
    return {**target, field: here, "port": ports[upstream]}


def make_pair(*hostnames: str, days: int = 30) -> Pair:
    """A certificate for these hostnames, signed by an authority made for it alone."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Northgate example authority", authority_key, None, days).sign(
        authority_key, hashes.SHA256()
    )
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in hostnames])
    leaf = _certificate(hostnames[0], key, authority, days).add_extension(names, critical=False)
    return Pair(
        leaf.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        authority.public_bytes(serialization.Encoding.PEM).decode(),
    )


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate | None, days: int
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
