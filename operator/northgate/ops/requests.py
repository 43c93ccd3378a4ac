"""What one request met: an HTTP client that sees how connections end and changes nothing it is told to send.

Paths are sent as written, any Host header is allowed, and a reset, an empty close or a refused handshake is an
outcome of the request, never an exception. HTTP/1.1 by default; HTTP/2 needs the `h2` package.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from northgate.ops.exchange import ClientTls, Outcome, Reply, Request, Target, end
from northgate.ops.http1 import Http1

__all__ = [
    "Client",
    "ClientTls",
    "Connection",
    "Outcome",
    "Reply",
    "Request",
    "Target",
    "client_context",
    "connect",
    "open_stream",
]

_LIMIT = 1 << 20


class Connection(Protocol):
    """One open connection that exchanges one request at a time."""

    serial: str

    @property
    def alive(self) -> bool:
        """Whether nothing has been heard yet that forbids another request."""

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
        kept = await self._kept(target) if keep else None
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._send(target, request, kept, keep=keep)
        except TimeoutError:
            reply = Reply(Outcome.TIMEOUT, detail=f"no answer within {self._seconds:g} s")
        return replace(reply, seconds=asyncio.get_running_loop().time() - begin, reused=kept is not None)

    async def _kept(self, target: Target) -> Connection | None:
        """Take an idle connection, closing those the peer has ended meanwhile."""
        idle = self._idle[target]
        while idle:
            connection = idle.pop()
            if connection.alive:
                return connection
            await connection.close()
        return None

    async def _send(self, target: Target, request: Request, kept: Connection | None, *, keep: bool) -> Reply:
        connection = kept or await connect(target)
        if isinstance(connection, Reply):
            return connection
        reply = Reply(Outcome.TIMEOUT)
        try:
            reply = await connection.exchange(request)
        finally:
            if keep and reply.reusable:
                self._idle[target].append(connection)
            else:
                await connection.close()
        return replace(reply, serial=connection.serial)


async def connect(target: Target) -> Connection | Reply:
    """Open a connection that speaks HTTP, or say as a Reply why there is none."""
    opened = await open_stream(target)
    return opened if isinstance(opened, Reply) else await _speak(target, *opened)


async def open_stream(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | Reply:
    """Open a connection, with TLS if the target asks for it, or say as a Reply why there is none."""
    try:
        return await _open(target)
    except ssl.SSLError as error:
        return Reply(Outcome.HANDSHAKE, detail=str(error))
    except ConnectionRefusedError as error:
        return Reply(Outcome.REFUSED, detail=str(error))
    except ConnectionError as error:
        return Reply(Outcome.HANDSHAKE if target.tls else Outcome.RESET, detail=str(error))
    except OSError as error:
        return Reply(Outcome.REFUSED, detail=str(error))


async def _open(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = client_context(target.tls, target.http) if target.tls else None
    name = target.tls.name if target.tls else None
    if isinstance(target.address, Path):
        return await asyncio.open_unix_connection(target.address, ssl=context, server_hostname=name, limit=_LIMIT)
    host, port = target.address
    return await asyncio.open_connection(host, port, ssl=context, server_hostname=name, limit=_LIMIT)


async def _speak(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection | Reply:
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
