"""Would a proxy take these certificates and keys? The faults it would refuse, said in words; never a key's bytes.

What is judged here is true for ever. Whether a certificate is valid today is not: `lifetime` says from when until when,
and whoever knows the time compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from northgate.api.conditions import Problem, Reason
from northgate.api.kubernetes import ConfigMap, Secret

AUTHORITIES = "ca.crt"
"""The key of a Secret or ConfigMap that holds authorities' certificates."""

_CHAIN = "tls.crt"
_KEY = "tls.key"
_SMALLEST_RSA = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_BEGIN = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When clients accept a certificate, in seconds since the epoch, both ends included."""

    begins: int
    ends: int


def lifetime(source: object) -> Lifetime | None:
    """The lifetime of the certificate a `kubernetes.io/tls` Secret serves; None where there is no such certificate."""
    if not isinstance(source, Secret) or source.type != "kubernetes.io/tls":
        return None
    certificates, _ = _certificates(source.data.get(_CHAIN, b""))
    if not certificates:
        return None
    leaf = certificates[0]
    return Lifetime(int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp()))


def certificate_problems(source: object) -> Iterator[Problem]:
    """What is wrong with the certificates and the key in a Secret or ConfigMap, as far as it claims to hold any."""
    match source:
        case Secret(type="kubernetes.io/tls", data=data):
            yield from _pair_problems(data)
            yield from _authorities_problems(data)
        case Secret(data=data):
            yield from _authorities_problems(data)
        case ConfigMap(data=data) if AUTHORITIES in data:
            yield from _authorities_problems({AUTHORITIES: data[AUTHORITIES].encode()})


def _authorities_problems(data: dict[str, bytes]) -> Iterator[Problem]:
    if data.get(AUTHORITIES):
        _, fault = _certificates(data[AUTHORITIES])
        if fault:
            yield _problem(AUTHORITIES, fault)


def _pair_problems(data: dict[str, bytes]) -> Iterator[Problem]:
    certificates, fault = _certificates(data.get(_CHAIN, b""))
    fault = fault or _unusable(certificates[0])
    if fault:
        yield _problem(_CHAIN, fault)
    public, fault = _public_half(data.get(_KEY, b""))
    fault = fault or _weakness(public)
    if fault:
        yield _problem(_KEY, fault)
    elif certificates and _encoded(public) != _encoded(certificates[0].public_key()):
        yield _problem(_KEY, f"does not belong to the first certificate in {_CHAIN}")


def _certificates(pem: bytes) -> tuple[list[x509.Certificate], str]:
    begun = len(_BEGIN.findall(pem))
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return [], _absent(pem, "holds a damaged certificate" if begun else "holds no certificate in PEM")
    # A last certificate that is cut off is no error to the reader here, but it is to proxies.
    return (found, "") if len(found) == begun else ([], "holds a damaged certificate")


def _unusable(leaf: x509.Certificate) -> str:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.digital_signature:
            return "holds a certificate that is not for digital signatures (key usage), which TLS needs"
    except x509.ExtensionNotFound:
        pass
    except ValueError:
        return "holds a certificate with damaged extensions"
    return (
        "holds a certificate that demands OCSP stapling, which is not offered; order one without"
        if _must_staple(leaf)
        else ""
    )


def _must_staple(leaf: x509.Certificate) -> bool:
    try:
        wanted = leaf.extensions.get_extension_for_class(x509.TLSFeature).value
    except x509.ExtensionNotFound:
        return False
    return x509.TLSFeatureType.status_request in wanted


def _public_half(key: bytes) -> tuple[object, str]:
    try:
        return load_pem_private_key(key, None).public_key(), ""
    except TypeError:
        return None, "is encrypted; store it without a pass phrase"
    except (ValueError, UnsupportedAlgorithm):
        damaged = _PRIVATE.search(key) is not None
        return None, _absent(key, "holds a damaged private key" if damaged else "holds no private key in PEM")


def _absent(value: bytes, otherwise: str) -> str:
    return otherwise if value else "is missing"


def _weakness(public: object) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        short = f"is an RSA key of {public.key_size} bits; proxies take {_SMALLEST_RSA} or more"
        return short if public.key_size < _SMALLEST_RSA else ""
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, _CURVES):
        return ""
    return "is neither RSA nor ECDSA on P-256, P-384 or P-521"


def _encoded(public: object) -> bytes:
    encode = getattr(public, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode is not None else b""


def _problem(key: str, fault: str) -> Problem:
    return Problem(("data", key), Reason.INVALID, fault)
