"""Which certificates tests use: a throw-away authority, good pairs for any names, and every kind of bad pair."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from trustme import KeyType

from northgate.ops.echo_server import EchoTls

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and a private key, as PEM text; perhaps not belonging together."""

    certificate: str
    key: str

    def write(self, folder: Path, name: str = "tls") -> tuple[Path, Path]:
        """Write `<name>.crt` and `<name>.key` (0600)."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        paths[0].write_text(self.certificate)
        paths[1].touch(mode=0o600)
        paths[1].write_text(self.key)
        return paths

    def echo_tls(self, folder: Path, alpn: tuple[str, ...] = ("http/1.1",)) -> EchoTls:
        """Write the pair and name it for an echo upstream."""
        return EchoTls(*self.write(folder, "echo"), alpn)

    @property
    def serial(self) -> str:
        """Serial number as `ssl` shows it: hexadecimal, upper case, an even number of digits."""
        text = f"{x509.load_pem_x509_certificate(self.certificate.encode()).serial_number:X}"
        return text.zfill(len(text) + len(text) % 2)


class TlsPairs:
    """One authority and what it issues; the bad pairs are made when first asked for."""

    def __init__(self) -> None:
        self._authority = trustme.CA(key_type=KeyType.ECDSA)

    @property
    def ca(self) -> str:
        """The authority's certificate as PEM."""
        return self._authority.cert_pem.bytes().decode()

    def write_ca(self, folder: Path) -> Path:
        """Write `ca.crt`."""
        path = folder / "ca.crt"
        path.write_text(self.ca)
        return path

    def issue(self, *names: str, key: Literal["ecdsa", "rsa"] = "ecdsa", days: tuple[float, float] = (-1, 30)) -> Pair:
        """Issue a pair for these names (hosts, wildcards or addresses), valid from and until days from now."""
        now = dt.datetime.now(dt.UTC)
        leaf = self._authority.issue_cert(
            *names,
            not_before=now + days[0] * _DAY,
            not_after=now + days[1] * _DAY,
            key_type=KeyType.RSA if key == "rsa" else KeyType.ECDSA,
        )
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return Pair(chain.decode(), leaf.private_key_pem.bytes().decode())

    @cached_property
    def mismatched(self) -> Pair:
        """A key that belongs to another certificate."""
        return Pair(self.issue("mismatched.example.test").certificate, self.issue("other.example.test").key)

    @cached_property
    def expired(self) -> Pair:
        """Valid until yesterday."""
        return self.issue("expired.example.test", days=(-30, -1))

    @cached_property
    def not_yet_valid(self) -> Pair:
        """Valid from tomorrow."""
        return self.issue("future.example.test", days=(1, 30))

    @cached_property
    def garbage(self) -> Pair:
        """PEM frames around bytes that are no certificate and no key."""
        return Pair(_framed("CERTIFICATE"), _framed("PRIVATE KEY"))

    @cached_property
    def truncated(self) -> Pair:
        """A good pair whose key file was cut in half."""
        good = self.issue("truncated.example.test")
        return Pair(good.certificate, good.key[: len(good.key) // 2])

    @cached_property
    def encrypted(self) -> Pair:
        """A good pair whose key needs a pass phrase."""
        good = self.issue("encrypted.example.test")
        key = serialization.load_pem_private_key(good.key.encode(), None)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pass phrase"),
        )
        return Pair(good.certificate, pem.decode())

    @cached_property
    def rsa_1024(self) -> Pair:
        """A self-signed pair with a key too short to be accepted."""
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the weakness is what is tested
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(_self_signed(key, "short.example.test"), pem.decode())

    @cached_property
    def bad(self) -> dict[str, Pair]:
        """Every bad pair by name; `expired` and `not_yet_valid` load, the others do not all."""
        names: Iterable[str] = (
            "mismatched",
            "expired",
            "not_yet_valid",
            "garbage",
            "truncated",
            "encrypted",
            "rsa_1024",
        )
        return {name: getattr(self, name) for name in names}


def _framed(kind: str) -> str:
    return f"-----BEGIN {kind}-----\nZ2FyYmFnZQ==\n-----END {kind}-----\n"


def _self_signed(key: rsa.RSAPrivateKey, name: str) -> str:
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - _DAY, now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
