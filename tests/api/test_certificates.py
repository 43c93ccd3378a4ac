from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from tests.harness.certificates import Pair, TlsPairs

from northgate.api.certificates import Lifetime, lifetime
from northgate.api.parse import Parsed, parse

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey
_BEGINS = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_ENDS = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)


def _pair(key: Key, *extensions: x509.ExtensionType) -> Pair:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example.test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, _BEGINS, _ENDS)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())


def _secret(data: dict[str, str], kind: str = "kubernetes.io/tls") -> Parsed:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return parse("", "Secret", {"kind": "Secret", "metadata": {"name": "s"}, "type": kind, "data": encoded})


def _of(pair: Pair) -> Parsed:
    return _secret({"tls.crt": pair.certificate, "tls.key": pair.key})


def _said(parsed: Parsed) -> list[str]:
    return [str(problem) for problem in parsed.problems]


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_pair_of_either_kind_is_good(tls_pairs: TlsPairs, kind: str) -> None:
    assert _of(tls_pairs.issue("a.example.test", key="rsa" if kind == "rsa" else "ecdsa")).good


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_curves_proxies_take(curve: ec.EllipticCurve) -> None:
    assert _of(_pair(ec.generate_private_key(curve))).good


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256K1()), id="secp256k1"),
        pytest.param(ec.generate_private_key(ec.SECP224R1()), id="secp224r1"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="ed25519"),
    ],
)
def test_keys_that_are_not_taken(key: Key) -> None:
    assert _said(_of(_pair(key))) == ["data.tls.key: is neither RSA nor ECDSA on P-256, P-384 or P-521"]


@pytest.mark.parametrize(
    ("name", "complaints"),
    [
        ("mismatched", ["data.tls.key: does not belong to the first certificate in tls.crt"]),
        ("truncated", ["data.tls.key: holds a damaged private key"]),
        ("encrypted", ["data.tls.key: is encrypted; store it without a pass phrase"]),
        ("rsa_1024", ["data.tls.key: is an RSA key of 1024 bits; proxies take 2048 or more"]),
        ("garbage", ["data.tls.crt: holds a damaged certificate", "data.tls.key: holds a damaged private key"]),
    ],
)
def test_pairs_no_proxy_would_take(tls_pairs: TlsPairs, name: str, complaints: list[str]) -> None:
    parsed = _of(tls_pairs.bad[name])
    assert _said(parsed) == complaints
    assert not parsed.good


@pytest.mark.parametrize("name", ["expired", "not_yet_valid"])
def test_time_is_judged_elsewhere(tls_pairs: TlsPairs, name: str) -> None:
    assert _of(tls_pairs.bad[name]).good


def test_absent_and_empty_keys(tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("a.example.test")
    assert _said(_secret({"tls.key": pair.key})) == ["data.tls.crt: is missing"]
    assert _said(_secret({"tls.crt": pair.certificate, "tls.key": ""})) == ["data.tls.key: is missing"]
    assert _said(_secret({"tls.crt": pair.certificate, "tls.key": pair.certificate})) == [
        "data.tls.key: holds no private key in PEM"
    ]


def test_every_certificate_of_the_chain_is_read(tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("a.example.test")
    half = tls_pairs.ca[: len(tls_pairs.ca) // 2]
    assert _of(Pair(pair.certificate + tls_pairs.ca, pair.key)).good
    assert _said(_of(Pair(pair.certificate + half, pair.key))) == ["data.tls.crt: holds a damaged certificate"]


def test_text_around_the_certificates_does_no_harm(tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("a.example.test")
    assert _of(Pair(f"subject=CN = a\n{pair.certificate}\nend\n", pair.key.replace("\n", "\r\n"))).good


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def test_what_a_certificate_is_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert _of(_pair(key, _usage(signs=True))).good
    assert _said(_of(_pair(key, _usage(signs=False)))) == [
        "data.tls.crt: holds a certificate that is not for digital signatures (key usage), which TLS needs"
    ]
    assert _said(_of(_pair(key, x509.TLSFeature([x509.TLSFeatureType.status_request])))) == [
        "data.tls.crt: holds a certificate that demands OCSP stapling, which is not offered; order one without"
    ]


def test_other_secrets_are_not_pairs() -> None:
    assert _secret({"password": "hunter2"}, "Opaque").good


def _secrets_of(pair: Pair) -> Iterable[str]:
    return (line for line in pair.key.splitlines() if line and "-----" not in line)


def test_no_byte_of_a_key_is_told(tls_pairs: TlsPairs) -> None:
    for pair in tls_pairs.bad.values():
        parsed = _of(pair)
        told = f"{parsed!r} {_said(parsed)}"
        assert not [line for line in _secrets_of(pair) if line in told]


def test_lifetime() -> None:
    parsed = _of(_pair(ec.generate_private_key(ec.SECP256R1())))
    assert lifetime(parsed.spec) == Lifetime(int(_BEGINS.timestamp()), int(_ENDS.timestamp()))
    assert lifetime(_secret({"tls.crt": "none"}, "Opaque").spec) is None
    assert lifetime(_secret({"tls.crt": "none"}).spec) is None
    assert lifetime(None) is None
