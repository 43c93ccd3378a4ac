"""How tiny origins are served: several named upstreams on free loopback ports, in the running event loop.

`async with EchoUpstreams(("echo-a", "echo-b")) as ups:` then `ups.port("echo-a")`, `ups["echo-a"].requests`.
Nagle's algorithm is off: asyncio sets TCP_NODELAY on every TCP connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from aiohttp import web
from multidict import CIMultiDict

from northgate.ops.echo import Answer, EchoUpstream, Seen, SeenTls, headers_of

_MAX_HEADERS = 256 << 10
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class EchoTls:
    """A certificate chain and its key, as PEM files; `alpn` is what the server offers, in order."""

    certificate: Path
    key: Path
    alpn: tuple[str, ...] = ("http/1.1",)


class ServerTls:
    """The server side of TLS: a context, and the SNI each connection sent (None when it sent none)."""

    def __init__(self, tls: EchoTls) -> None:
        """Load the pair; ssl.SSLError or OSError when it cannot be used."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(tls.certificate, tls.key)
        self.context.set_alpn_protocols(tls.alpn)
        self.context.sni_callback = self._note
        self._names: WeakKeyDictionary[ssl.SSLObject, str | None] = WeakKeyDictionary()

    def seen(self, connection: ssl.SSLObject) -> SeenTls:
        """Return what that connection's handshake showed."""
        return SeenTls(self._names.get(connection), connection.version())

    def _note(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._names[connection] = name


class HttpEcho:
    """One upstream over HTTP/1.1, clear or TLS; `stop` and `start` again keep the port."""

    def __init__(self, upstream: EchoUpstream, host: str = "127.0.0.1", tls: EchoTls | None = None) -> None:
        """Prepare; the port is known after `start`."""
        self.upstream = upstream
        self.port = 0
        self._host = host
        self._tls = ServerTls(tls) if tls else None
        self._web: web.Server | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, or on the one of before; OSError when another process took that."""
        self._web = web.Server(
            self._handle,
            access_log=None,
            auto_decompress=False,
            max_line_size=_MAX_HEADERS,
            max_field_size=_MAX_HEADERS,
        )
        loop = asyncio.get_running_loop()
        context = self._tls.context if self._tls else None
        self._server = await loop.create_server(self._web, self._host, self.port, ssl=context, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and cut the open ones; requests in flight get no answer."""
        if self._server is None or self._web is None:
            return
        self._server.close()
        await self._web.shutdown(0.01)
        await self._server.wait_closed()
        self._server = self._web = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self.upstream.answer(await self._seen(request))
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.drop:
            _cut(request.transport, answer)
        return web.Response(status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body)

    async def _seen(self, request: web.BaseRequest) -> Seen:
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        return Seen(
            method=request.method,
            path=request.raw_path,
            headers=headers_of(pairs),
            body=await request.content.read(),
            http=f"{request.version.major}.{request.version.minor}",
            tls=self._seen_tls(request.transport),
        )

    def _seen_tls(self, transport: asyncio.Transport | None) -> SeenTls | None:
        if self._tls is None or transport is None:
            return None
        return self._tls.seen(transport.get_extra_info("ssl_object"))


class TcpEcho:
    """One upstream over raw TCP: its first line is its name, then it sends back every byte it gets."""

    def __init__(self, name: str, host: str = "127.0.0.1") -> None:
        """Prepare; the port is known after `start`."""
        self.name = name
        self.port = 0
        self.connections = 0
        self._host = host
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on a free port, or on the one of before; OSError when another process took that."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and cut the open ones."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._open), return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        with suppress(ConnectionError):
            writer.write(f"{self.name}\n".encode())
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        self._open.discard(writer)
        writer.close()


class EchoUpstreams(Mapping[str, EchoUpstream]):
    """Named HTTP upstreams (and raw TCP ones) while the `async with` block runs."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        tcp: Sequence[str] = (),
        tls: EchoTls | None = None,
        secure: Mapping[str, EchoTls] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """`names` speak HTTP/1.1, with TLS if `tls` is given; `secure` ones with their own TLS; `tcp` ones raw TCP."""
        self._http = {name: HttpEcho(EchoUpstream(name), host, tls) for name in names}
        self._http |= {name: HttpEcho(EchoUpstream(name), host, own) for name, own in (secure or {}).items()}
        self._tcp = {name: TcpEcho(name, host) for name in tcp}

    async def __aenter__(self) -> Self:
        for name in (*self._http, *self._tcp):
            await self.start(name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in (*self._http, *self._tcp):
            await self.stop(name)

    def __getitem__(self, name: str) -> EchoUpstream:
        return self._http[name].upstream

    def __iter__(self) -> Iterator[str]:
        return iter(self._http)

    def __len__(self) -> int:
        return len(self._http)

    def port(self, name: str) -> int:
        """Return the TCP port of an upstream; KeyError for a name that was not asked for."""
        return self._server(name).port

    def ports(self) -> dict[str, int]:
        """Return the TCP port of every upstream by name."""
        return {name: self.port(name) for name in (*self._http, *self._tcp)}

    def tcp(self, name: str) -> TcpEcho:
        """Return the raw TCP upstream of that name."""
        return self._tcp[name]

    async def start(self, name: str) -> None:
        """Listen (again), on the same port as before."""
        await self._server(name).start()

    async def stop(self, name: str) -> None:
        """Go away as a dead process does: connections are cut, new ones refused."""
        await self._server(name).stop()

    def _server(self, name: str) -> HttpEcho | TcpEcho:
        return self._http[name] if name in self._http else self._tcp[name]


def _cut(transport: asyncio.Transport | None, answer: Answer) -> None:
    """End the connection without an answer: with lingering off the kernel sends RST, else FIN."""
    if transport is None:
        return
    if answer.drop == "reset":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
