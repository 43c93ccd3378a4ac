"""How requests go over one HTTP/2 connection, one stream at a time (RFC 9113, through `h2`)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error

from northgate.ops.exchange import Outcome, Reply, Request, end, serial_of, without

_READ = 65536
_FRAME_HEADER = 9

# RFC 9113 section 8.2.2 forbids these; Host becomes :authority.
_CONNECTION_SPECIFIC = frozenset(
    {"host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)


class Http2:
    """One HTTP/2 connection, by prior knowledge or after ALPN chose `h2`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over an open connection; `begin` sends the preface."""
        self.serial = serial_of(writer)
        self._reader = reader
        self._writer = writer
        self._scheme = "https" if writer.get_extra_info("ssl_object") else "http"
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._gone = False
        self._received = b""
        # Always one read ahead, so that a GOAWAY or an end is known before the next request is written.
        self._next = asyncio.ensure_future(reader.read(_READ))

    @classmethod
    async def begin(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Self:
        """Send the connection preface and SETTINGS."""
        connection = cls(reader, writer)
        connection._h2.initiate_connection()
        connection._flush()
        return connection

    @property
    def alive(self) -> bool:
        """Whether the peer has neither said GOAWAY nor ended the connection."""
        if self._next.done() and not self._gone:
            self._idle()
        return not self._gone

    async def exchange(self, request: Request) -> Reply:
        """Send the request on a new stream and read until that stream ends."""
        reply = Reply(Outcome.CLOSED)
        try:
            stream = self._h2.get_next_available_stream_id()
            exchange = _Exchange(stream, request.body)
            self._h2.send_headers(stream, self._fields(request), end_stream=not request.body)
            while not exchange.ended:
                self._push(exchange)
                exchange.take(await self._events(), self._h2)
                self._flush()
            reply = exchange.reply
        except (OSError, ssl.SSLError) as error:
            reply = Reply(Outcome.RESET, detail=str(error) or type(error).__name__)
        except (H2Error, ValueError) as error:
            reply = Reply(Outcome.GARBLED, detail=f"{type(error).__name__}: {error}")
        return reply

    async def close(self) -> None:
        """End the connection."""
        self._next.cancel()
        await asyncio.wait({self._next})
        await end(self._writer)

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    def _push(self, exchange: _Exchange) -> None:
        """Send as much of the request's body as the peer's window takes."""
        while exchange.unsent:
            room = min(self._h2.local_flow_control_window(exchange.stream), self._h2.max_outbound_frame_size)
            if room <= 0:
                break
            chunk, exchange.unsent = exchange.unsent[:room], exchange.unsent[room:]
            self._h2.send_data(exchange.stream, chunk, end_stream=not exchange.unsent)
        self._flush()

    async def _events(self) -> list[Event] | None:
        """Return what the next bytes mean; None at the end of the connection."""
        data = await asyncio.shield(self._next)
        if not data:
            self._gone = True
            return None
        self._next = asyncio.ensure_future(self._reader.read(_READ))
        return self._meaning(data)

    def _meaning(self, data: bytes) -> list[Event]:
        self._received += data
        return [event for frame in self._whole_frames() for event in self._of_frame(frame)]

    def _whole_frames(self) -> Iterator[bytes]:
        """Cut what was received into frames (RFC 9113 section 4.1: a 9-byte header that begins with the length)."""
        while len(self._received) >= (size := _FRAME_HEADER + int.from_bytes(self._received[:3])):
            frame, self._received = self._received[:size], self._received[size:]
            yield frame

    def _of_frame(self, frame: bytes) -> list[Event]:
        events = self._h2.receive_data(frame)
        if any(isinstance(event, ConnectionTerminated) for event in events):
            self._gone = True
            # Streams that a GOAWAY covers go on (RFC 9113 section 6.8); `h2` would refuse their frames.
            self._h2.state_machine.state = ConnectionState.CLIENT_OPEN
        return events

    def _idle(self) -> None:
        """Take in what came between two requests."""
        failed = self._next.cancelled() or self._next.exception() is not None
        if failed or not self._next.result():
            self._gone = True
            return
        try:
            self._meaning(self._next.result())
        except H2Error:
            self._gone = True
        self._next = asyncio.ensure_future(self._reader.read(_READ))

    def _fields(self, request: Request) -> list[tuple[str, str]]:
        fixed = [(":method", request.method), (":scheme", self._scheme)]
        fixed += [(":authority", request.host), (":path", request.path)]
        ordinary = without(request.headers, _CONNECTION_SPECIFIC)
        return fixed + [(name.lower(), value) for name, value in ordinary]


class _Exchange:
    """What is known of one stream so far."""

    def __init__(self, stream: int, unsent: bytes) -> None:
        self.stream = stream
        self.unsent = unsent
        self.ended = False
        self.reply = Reply(Outcome.CLOSED, detail="end of stream")

    def take(self, events: list[Event] | None, h2: H2Connection) -> None:
        if events is None:
            self._end(Outcome.TRUNCATED if self.reply.status else Outcome.CLOSED, self.reply.detail)
            return
        for event in events:
            self._take(event, h2)

    def _take(self, event: Event, h2: H2Connection) -> None:
        match event:
            case ResponseReceived(stream_id=self.stream):
                self._head([(str(name), str(value)) for name, value in event.headers])
            case DataReceived(stream_id=self.stream):
                self.reply = replace(self.reply, body=self.reply.body + event.data)
                h2.acknowledge_received_data(event.flow_controlled_length, self.stream)
            case StreamEnded(stream_id=self.stream):
                self.reply = replace(self.reply, outcome=Outcome.ANSWERED, detail="", reusable=True)
                self.ended = True
            case StreamReset(stream_id=self.stream):
                self._end(Outcome.RESET, f"RST_STREAM {int(event.error_code)}")
                self.reply = replace(self.reply, reusable=True)
            case ConnectionTerminated():
                self._gone(event)

    def _head(self, fields: list[tuple[str, str]]) -> None:
        status = int(dict(fields)[":status"])
        headers = tuple((name, value) for name, value in fields if not name.startswith(":"))
        self.reply = replace(self.reply, status=status, headers=headers)

    def _gone(self, event: ConnectionTerminated) -> None:
        """A GOAWAY that still covers this stream lets it finish (RFC 9113 section 6.8)."""
        last = event.last_stream_id or 0
        if last < self.stream:
            self._end(Outcome.CLOSED, f"GOAWAY {int(event.error_code or 0)}")

    def _end(self, outcome: Outcome, detail: str) -> None:
        self.reply = replace(self.reply, outcome=outcome, detail=detail)
        self.ended = True
