"""What a request, the place it goes to and the reply that came back are, and the ends a connection can take."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

Address = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    CLOSED = "closed"  # the peer ended the connection in order, without a byte of an answer
    RESET = "reset"  # RST of the connection, or RST_STREAM of the stream
    TRUNCATED = "truncated"  # an answer began and did not end
    GARBLED = "garbled"  # bytes came that are no HTTP
    REFUSED = "refused"  # no connection
    HANDSHAKE = "handshake"  # TCP connected, TLS did not
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The client side of TLS: the name for SNI and for checking, and whom to trust (without `ca` the system's roots).

    `certificate` is the chain and key a server may ask for, as PEM files.
    """

    name: str
    ca: Path | None = None
    certificate: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect and how to speak there; equal targets may share a kept connection.

    HTTP/2 is by ALPN over TLS and by prior knowledge in clear.
    """

    address: Address
    tls: ClientTls | None = None
    http: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `path` is sent byte for byte, `host` is the Host header or `:authority`."""

    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `seconds` counts from before connecting; `status` is 0 without an answer.

    `serial` is the serial number of the server's certificate in hexadecimal, empty in clear.
    """

    outcome: Outcome
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    detail: str = ""
    seconds: float = 0.0
    reused: bool = False
    serial: str = ""
    reusable: bool = field(default=False, repr=False)

    def header(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, in order; the name in any case."""
        return tuple(value for key, value in self.headers if key.lower() == name.lower())


def serial_of(writer: asyncio.StreamWriter) -> str:
    """Return the hexadecimal serial number of the peer's certificate, or an empty string."""
    certificate = writer.get_extra_info("peercert") or {}
    return str(certificate.get("serialNumber", ""))


async def end(writer: asyncio.StreamWriter) -> None:
    """Close a connection without minding how the peer takes it."""
    writer.transport.abort()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        return


def without(headers: Iterable[tuple[str, str]], names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Leave out the headers of these lower-case names."""
    return tuple((name, value) for name, value in headers if name.lower() not in names)
