"""What one request met: an HTTP client that sees how connections end and changes nothing it is told to send.

Paths are sent as written, any Host header is allowed, and a reset, an empty close or a refused handshake is an
outcome of the request, never an exception. HTTP/1.1 by default; HTTP/2 needs the `h2` package.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

Address = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""

_LIMIT = 1 << 20


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
    """The client side of TLS. Without `ca` the system's roots are trusted; `certificate` is (chain, key) as PEM files."""

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


class Connection(Protocol):
    """One open connection that exchanges one request at a time."""

    serial: str

    async def exchange(self, request: Request) -> Reply:
        """Send the request and read its answer; network errors are outcomes."""

    async def close(self) -> None:
        """End the connection."""


class Client:
    """Sends requests, keeping connections for later requests to an equal target."""

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds` bounds each request as a whole, connecting included."""
        self._seconds = seconds
        self._idle: defaultdict[Target, list[Connection]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the kept connections."""
        kept = [connection for idle in self._idle.values() for connection in idle]
        self._idle.clear()
        for connection in kept:
            await connection.close()

    async def send(self, target: Target, request: Request, *, keep: bool = True) -> Reply:
        """Send over a kept connection if `keep` and there is one, else over a new one."""
        begin = asyncio.get_running_loop().time()
        reused = keep and bool(self._idle[target])
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._send(target, request, keep=keep)
        except TimeoutError:
            reply = Reply(Outcome.TIMEOUT, detail=f"no answer within {self._seconds:g} s")
        return replace(reply, seconds=asyncio.get_running_loop().time() - begin, reused=reused)

    async def _send(self, target: Target, request: Request, *, keep: bool) -> Reply:
        idle = self._idle[target]
        connection = idle.pop() if keep and idle else await connect(target)
        if isinstance(connection, Reply):
            return connection
        reply = Reply(Outcome.TIMEOUT)
        try:
            reply = await connection.exchange(request)
        finally:
            if keep and reply.reusable:
                idle.append(connection)
            else:
                await connection.close()
        return replace(reply, serial=connection.serial)


async def connect(target: Target) -> Connection | Reply:
    """Open a connection, or say as a Reply why there is none."""
    try:
        reader, writer = await _open(target)
    except ssl.SSLError as error:
        return Reply(Outcome.HANDSHAKE, detail=str(error))
    except ConnectionRefusedError as error:
        return Reply(Outcome.REFUSED, detail=str(error))
    except ConnectionError as error:
        return Reply(Outcome.HANDSHAKE if target.tls else Outcome.RESET, detail=str(error))
    except OSError as error:
        return Reply(Outcome.REFUSED, detail=str(error))
    return await _speak(target, reader, writer)


async def _open(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = client_context(target.tls, target.http) if target.tls else None
    name = target.tls.name if target.tls else None
    if isinstance(target.address, Path):
        return await asyncio.open_unix_connection(target.address, ssl=context, server_hostname=name, limit=_LIMIT)
    host, port = target.address
    return await asyncio.open_connection(host, port, ssl=context, server_hostname=name, limit=_LIMIT)


async def _speak(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection | Reply:
    from northgate.ops.http1 import Http1  # noqa: PLC0415 - http1 imports this module's values

    if target.http == 1:
        return Http1(reader, writer)
    agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol() if target.tls else "h2"
    if agreed != "h2":
        await end(writer)
        return Reply(Outcome.HANDSHAKE, detail=f"the server chose {agreed or 'no protocol'} by ALPN, not h2")
    from northgate.ops.http2 import Http2  # noqa: PLC0415 - needs the development dependency `h2`

    return await Http2.begin(reader, writer)


@lru_cache(maxsize=64)
def client_context(tls: ClientTls, http: Literal[1, 2]) -> ssl.SSLContext:
    """Build the TLS context of a client; made once for equal arguments."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["h2"] if http == 2 else ["http/1.1"])  # noqa: PLR2004 - a protocol's number
    if tls.certificate is not None:
        context.load_cert_chain(*tls.certificate)
    return context


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
