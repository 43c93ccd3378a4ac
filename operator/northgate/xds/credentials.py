"""How does the server prove who it is, and know its proxies? Mutual TLS whose certificates change while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from northgate.deliver.identity import vouches
from northgate.xds.request import Node


@dataclass(frozen=True, slots=True)
class Identity:
    """The server's certificate chain and key, and the authorities whose proxies it serves: PEM."""

    chain: bytes
    key: bytes = field(repr=False)
    trusted: bytes = field(repr=False)


class ServerIdentity:
    """The identity of a running server. `replace` counts for connections made from then on; others go on."""

    def __init__(self, identity: Identity) -> None:
        """ValueError when there is nothing to prove or nobody to believe: such a server must not start."""
        self._identity = _complete(identity)

    def replace(self, identity: Identity) -> None:
        """Use another one; ValueError, and no change, when it is not complete."""
        self._identity = _complete(identity)

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials for `XdsServer.start`: a peer without a certificate of a trusted authority is refused."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._identity), self._fetch, require_client_authentication=True
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration:
        # Called by grpc's own threads at each handshake; reading one attribute needs no lock.
        return _configuration(self._identity)


def only_own_gateway(node: Node, names: tuple[str, ...]) -> bool:
    """Admit a proxy to the group its certificate names; for `Options.admits`."""
    return vouches(names, node.cluster)


def _complete(identity: Identity) -> Identity:
    if not (identity.chain and identity.key and identity.trusted):
        raise ValueError("a certificate, its key and trusted authorities are needed")
    return identity


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(identity.key, identity.chain)], identity.trusted)
