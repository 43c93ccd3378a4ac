"""Which certificates do the control plane and its proxies hold? An own authority's, renewed well before they end.

Everything here is decided from what is held and what time it is. A new authority is made known to everybody before the
first certificate of it is used, and the old one is believed until it ends, so that no connection is refused meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from northgate.deliver.identity import proxy_identity

_AUTHORITY_LIFE = dt.timedelta(days=365)
_LEAF_LIFE = dt.timedelta(days=30)
_SKEW = dt.timedelta(minutes=10)
"""How far clocks may differ."""
_ANNOUNCED = dt.timedelta(days=1)
"""How long an authority is known before it signs."""

NewKey = Callable[[], ec.EllipticCurvePrivateKey]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Who signs now, who will, and the certificates of those that did and are believed still."""

    signer: Pair
    following: Pair | None = None
    retired: tuple[bytes, ...] = ()

    @property
    def trusted(self) -> bytes:
        """The certificates to believe, PEM, in an order that is always the same."""
        held = (self.signer.certificate, *((self.following.certificate,) if self.following else ()), *self.retired)
        return b"".join(sorted(held))


def server_names(service: str, namespace: str) -> tuple[str, ...]:
    """The host names of a Service: its proxies know the first."""
    return f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh private key."""
    return ec.generate_private_key(ec.SECP256R1())


def settled(held: Authorities | None, now: dt.datetime, key: NewKey = new_key) -> Authorities:
    """The authorities as they are to be at a time; those held when nothing is due."""
    if held is None or not _lives(held.signer.certificate, now):
        return Authorities(_new_authority(now, key))
    found = replace(held, retired=tuple(one for one in held.retired if _lives(one, now)))
    if found.following is None:
        due = _due(found.signer.certificate, now)
        return replace(found, following=_new_authority(now, key)) if due else found
    if now - _loaded(found.following.certificate).not_valid_before_utc < _SKEW + _ANNOUNCED:
        return found
    return Authorities(found.following, retired=(*found.retired, found.signer.certificate))


def server_leaf(
    held: Pair | None, authorities: Authorities, hosts: Sequence[str], now: dt.datetime, key: NewKey = new_key
) -> Pair:
    """The control plane's certificate for some hosts (names or addresses): the one held, unless it is due."""
    names = tuple(_host(host) for host in hosts)
    if held is not None and _fits(held, authorities, names, now):
        return held
    return _issue(authorities.signer, names, ExtendedKeyUsageOID.SERVER_AUTH, now, key)


def client_leaf(
    held: Pair | None, authorities: Authorities, group: str, now: dt.datetime, key: NewKey = new_key
) -> Pair:
    """The certificate of the proxies of a gateway, `namespace/name`: the one held, unless it is due."""
    names = (x509.UniformResourceIdentifier(proxy_identity(group)),)
    if held is not None and _fits(held, authorities, names, now):
        return held
    return _issue(authorities.signer, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, key)


def ends(certificate: bytes) -> dt.datetime:
    """When a certificate, PEM, ends."""
    return _loaded(certificate).not_valid_after_utc


def _loaded(certificate: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate)


def _lives(certificate: bytes, now: dt.datetime) -> bool:
    return now < ends(certificate)


def _due(certificate: bytes, now: dt.datetime) -> bool:
    """Two thirds of its life are over."""
    found = _loaded(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return now >= found.not_valid_before_utc + life * 2 / 3


def _fits(held: Pair, authorities: Authorities, names: Sequence[x509.GeneralName], now: dt.datetime) -> bool:
    """Whether a pair may go on being used: for these names, in time, and signed by the present authority."""
    found = _loaded(held.certificate)
    if _due(held.certificate, now) or now < found.not_valid_before_utc:
        return False
    borne = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    signer = _loaded(authorities.signer.certificate)
    return list(borne) == list(names) and found.issuer == signer.subject and _belongs(held)


def _belongs(pair: Pair) -> bool:
    return _loaded(pair.certificate).public_key() == _private(pair.key).public_key()


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(key, None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise TypeError("an elliptic curve's key was expected")
    return found


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_authority(now: dt.datetime, new: NewKey) -> Pair:
    key = new()
    # Authorities have names of their own, so that a peer that believes two never tries the wrong one.
    name = _named(f"northgate xDS {now:%Y%m%dT%H%M%SZ} {x509.random_serial_number() % 0xFFFFFFFF:08x}")
    builder = (
        _builder(name, name, key, now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def _issue(
    signer: Pair, names: Sequence[x509.GeneralName], usage: x509.ObjectIdentifier, now: dt.datetime, new: NewKey
) -> Pair:
    authority, key = _loaded(signer.certificate), new()
    until = min(_LEAF_LIFE, authority.not_valid_after_utc - now)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(_private(signer.key).public_key())
    builder = (
        _builder(_named("northgate xDS"), authority.subject, key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return _pair(builder.sign(_private(signer.key), hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, life: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        **dict.fromkeys(_OTHER_USAGES, False),
    )


_OTHER_USAGES = (
    *("content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "encipher_only", "decipher_only"),
)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), text)
