"""How an echo upstream is served over HTTP/2: prior knowledge in clear, ALPN over TLS."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error

from northgate.ops.echo import Answer, EchoUpstream, Seen, headers_of
from northgate.ops.echo_server import EchoTls, ServerTls

_REFUSED_STREAM = 7
_INTERNAL_ERROR = 2


class H2Echo:
    """One upstream over HTTP/2. `say_goaway` announces the end before the next answer, which still follows.

    The control `drop=reset` is RST_STREAM, `drop=close` ends the connection.
    """

    def __init__(self, name: str, tls: EchoTls | None = None) -> None:
        self.upstream = EchoUpstream(name)
        self.port = 0
        self.connections = 0
        self.say_goaway = False
        self.tls = ServerTls(tls) if tls else None
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        context = self.tls.context if self.tls else None
        self._server = await loop.create_server(lambda: _Connection(self, self._open), "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in tuple(self._open):
            connection.cut()
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    def __init__(self, echo: H2Echo, opened: set[_Connection]) -> None:
        self._echo = echo
        self._opened = opened
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._heads: dict[int, list[tuple[str, str]]] = {}
        self._bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self._unsent: dict[int, bytes] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(self)
        self._echo.connections += 1
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.discard(self)
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except H2Error:
            self._flush()
            self._transport.close()
            return
        for stream in tuple(self._unsent):
            self._send_body(stream)
        self._flush()

    def cut(self) -> None:
        self._transport.abort()

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._heads[event.stream_id] = [(str(name), str(value)) for name, value in event.headers]
            case DataReceived():
                self._bodies[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self._answer_later(event.stream_id)
            case StreamReset():
                self._unsent.pop(event.stream_id, None)
            case ConnectionTerminated():
                self._transport.close()
            case WindowUpdated() | _:
                return

    def _answer_later(self, stream: int) -> None:
        answer = self._echo.upstream.answer(self._seen(stream))
        loop = asyncio.get_running_loop()
        self._timers.add(loop.call_later(answer.delay, self._answer, stream, answer))

    def _seen(self, stream: int) -> Seen:
        fields = dict(self._heads[stream])
        pairs = [("host", fields.get(":authority", "")), *self._heads.pop(stream)]
        return Seen(
            method=fields[":method"],
            path=fields[":path"],
            headers=headers_of([(name, value) for name, value in pairs if not name.startswith(":")]),
            body=self._bodies.pop(stream, b""),
            http="2",
            tls=tls.seen(self._transport.get_extra_info("ssl_object")) if (tls := self._echo.tls) else None,
        )

    def _answer(self, stream: int, answer: Answer) -> None:
        if answer.drop == "close":
            self._end()
            return
        if answer.drop == "reset":
            self._h2.reset_stream(stream, _INTERNAL_ERROR)
        else:
            self._send(stream, answer)
        self._flush()

    def _end(self) -> None:
        """Send FIN alone where that is possible: closing with unread bytes would make the kernel send RST."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _send(self, stream: int, answer: Answer) -> None:
        if self._echo.say_goaway:
            self._announce_end()
        self._h2.send_headers(stream, [(":status", str(answer.status)), *answer.headers], end_stream=not answer.body)
        if answer.body:
            self._unsent[stream] = answer.body
            self._send_body(stream)

    def _announce_end(self) -> None:
        """GOAWAY as a draining proxy sends it: no error, every stream so far still covered."""
        before = self._h2.state_machine.state
        self._h2.close_connection(last_stream_id=2**31 - 1)
        self._h2.state_machine.state = before

    def _send_body(self, stream: int) -> None:
        while rest := self._unsent.get(stream):
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            self._h2.send_data(stream, rest[:room], end_stream=len(rest) <= room)
            self._unsent[stream] = rest[room:]
        self._unsent.pop(stream, None)

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())
