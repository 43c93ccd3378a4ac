"""What makes an API server trusted, and whom does it trust? Its certificate, its signing key, two fixed tokens."""

from __future__ import annotations

import secrets
import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from trustme import KeyType

_NAMES = ("localhost", "127.0.0.1", "kubernetes.default.svc", "10.96.0.1")
_USERS = {
    "admin": '{token},test-admin,1,"system:masters"',
    "controllers": '{token},system:kube-controller-manager,2,""',
}


class Authority:
    """The files of one API server in a folder: `ca.crt`, `server.pem` (chain and key), `sa.key`, `tokens.csv`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        issuer = trustme.CA(key_type=KeyType.ECDSA)
        self.ca_path, self.pair_path = folder / "ca.crt", folder / "server.pem"
        self.signing_path, self.tokens_path = folder / "sa.key", folder / "tokens.csv"
        self.tokens = {user: secrets.token_hex(16) for user in _USERS}
        issuer.cert_pem.write_to_path(self.ca_path)
        _write_private(self.pair_path, issuer.issue_cert(*_NAMES).private_key_and_cert_chain_pem.bytes())
        _write_private(self.signing_path, _signing_key())
        lines = [line.format(token=self.tokens[user]) for user, line in _USERS.items()]
        _write_private(self.tokens_path, "\n".join(lines).encode() + b"\n")

    @property
    def ca(self) -> str:
        """The certificate clients trust, as PEM."""
        return self.ca_path.read_text()

    def client_tls(self) -> ssl.SSLContext:
        """For clients of the API server."""
        return ssl.create_default_context(cafile=str(self.ca_path))

    def server_tls(self) -> ssl.SSLContext:
        """For whoever stands in for the API server; HTTP/1.1 only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pair_path)
        context.set_alpn_protocols(["http/1.1"])
        return context


def _signing_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
