"""What if the way to the API server fails? A proxy before it that cuts, swallows, delays, or answers in its place.

It takes TLS off and puts it on again (HTTP/1.1 only), passes bytes as they are, and reads request heads on the way, so
that it can answer chosen requests itself. Clients authenticate by token: a client certificate would end here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from tests.harness.ports import HeldPorts
from tests.kube.rig.api_server import KubeApi

_CHUNK = 1 << 16
_GOODBYE = 1.0
_BROKEN = (OSError, asyncio.IncompleteReadError)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request: `path` has the query too."""

    method: str
    path: str
    length: int
    chunked: bool


@dataclass(slots=True)
class Answer:
    """What the proxy answers itself to requests whose method and path match: `times` times, else until healed."""

    status: int
    method: str = ".*"
    path: str = ".*"
    times: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    given: int = 0

    def takes(self, asked: Asked) -> bool:
        """Whether this answer is for that request; `path` is searched, `method` must match as a whole."""
        fits = re.fullmatch(self.method, asked.method) and re.search(self.path, asked.path)
        return bool(fits) and (self.times is None or self.given < self.times)

    def encoded(self) -> bytes:
        """The response; its connection closes after it."""
        headers = {"Content-Type": "application/json", **self.headers, "Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class FaultProxy:
    """Stands at `url` before an API server, on the running loop. Faults last until `heal`."""

    def __init__(self, api: KubeApi) -> None:
        self._target = api.port
        self._listening_tls, self._calling_tls = api.authority.server_tls(), api.authority.client_tls()
        self._ports = HeldPorts()
        self.port = self._ports()
        self.url = f"https://127.0.0.1:{self.port}"
        self.asked: list[Asked] = []
        """Every request whose head arrived, answered or not."""
        self._answers: list[Answer] = []
        self._delay = 0.0
        self._flowing = asyncio.Event()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.heal()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        self._ports.close()

    def heal(self) -> None:
        """End every fault. Bytes that were held go on, as after a lost packet."""
        self._answers.clear()
        self._delay = 0.0
        self._flowing.set()
        if self._listener is None:
            self._listener = _listener(self.port)
            self._accepting = asyncio.create_task(self._accept(self._listener))

    async def cut(self) -> None:
        """Break every connection that is open; new ones are taken."""
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def refuse(self) -> None:
        """Break every connection and refuse new ones."""
        if self._listener is not None and self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._listener.close()
            self._listener = self._accepting = None
        await self.cut()

    def blackhole(self) -> None:
        """Let nothing through in either direction; connections stay open and new ones get no answer."""
        self._flowing.clear()

    def delay(self, seconds: float) -> None:
        """Hold each piece of data for so long, in either direction."""
        self._delay = seconds

    def answer(self, answer: Answer) -> Answer:
        """Answer in the server's place; the earliest answer that takes a request wins. Its `given` counts."""
        self._answers.append(answer)
        return answer

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            connection = asyncio.create_task(self._connect(accepted))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(*_BROKEN):
            stack.callback(accepted.close)
            await self._pass()
            client = await _handshake(accepted, self._listening_tls)
            stack.callback(client[1].transport.abort)
            server = await asyncio.open_connection("127.0.0.1", self._target, ssl=self._calling_tls)
            stack.callback(server[1].transport.abort)
            await _until_either_ends(self._requests(client, server[1]), self._responses(server[0], client[1]))

    async def _requests(self, client: Stream, server: asyncio.StreamWriter) -> None:
        reader, back = client
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            asked = _asked(head)
            self.asked.append(asked)
            pieces = _body(reader, asked)
            await self._pass()
            answer = next((one for one in self._answers if one.takes(asked)), None)
            if answer is not None:
                await _give(answer, pieces, back)
                return
            server.write(head)
            async for piece in pieces:
                await self._pass()
                server.write(piece)
                await server.drain()

    async def _responses(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while piece := await server.read(_CHUNK):
            await self._pass()
            client.write(piece)
            await client.drain()
        await _close(client)

    async def _pass(self) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._flowing.wait()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setblocking(False)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


async def _handshake(accepted: socket.socket, tls: ssl.SSLContext) -> Stream:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, accepted, ssl=tls, ssl_shutdown_timeout=_GOODBYE
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _asked(head: bytes) -> Asked:
    line, *fields = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
    return Asked(method, path, int(headers.get("content-length", 0)), "transfer-encoding" in headers)


async def _body(reader: asyncio.StreamReader, asked: Asked) -> AsyncIterator[bytes]:
    if asked.length:
        yield await reader.readexactly(asked.length)
    while asked.chunked:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield line + await reader.readexactly(size + 2)
        if size == 0:
            return


async def _give(answer: Answer, pieces: AsyncIterator[bytes], back: asyncio.StreamWriter) -> None:
    answer.given += 1
    async for _ in pieces:
        pass  # a server that closes on unread bytes resets the connection
    back.write(answer.encoded())
    await _close(back)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(*_BROKEN):
        await writer.wait_closed()


async def _until_either_ends(*parts: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
