"""How one HTTP/1.1 request is written and its answer read from a stream (RFC 9112)."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

from northgate.ops.exchange import Outcome, Reply, Request, end, serial_of, without

_SWITCHING = 101
_FINAL = 200
_BODILESS = frozenset({204, 304})
_EXPECTS_BODY = frozenset({"POST", "PUT", "PATCH"})


class Http1:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over an open connection."""
        self.serial = serial_of(writer)
        self._reader = reader
        self._writer = writer

    @property
    def alive(self) -> bool:
        """Whether the peer has not ended the connection."""
        return not self._reader.at_eof() and self._reader.exception() is None

    async def exchange(self, request: Request) -> Reply:
        """Send the request and read its answer, past interim 1xx answers.

        Nothing waits for the request to leave: an answer that comes before a large body was read is still read.
        """
        self._writer.write(encoded(request))
        reply = Reply(Outcome.CLOSED)
        try:
            reply = await self._head()
            return await self._body(request, reply)
        except asyncio.IncompleteReadError as error:
            begun = bool(reply.status or error.partial)
            return replace(reply, outcome=Outcome.TRUNCATED if begun else Outcome.CLOSED, detail="end of stream")
        except (OSError, ssl.SSLError) as error:
            outcome = Outcome.TRUNCATED if reply.status else Outcome.RESET
            return replace(reply, outcome=outcome, detail=str(error) or type(error).__name__)
        except (ValueError, asyncio.LimitOverrunError) as error:
            return replace(reply, outcome=Outcome.GARBLED, detail=str(error))

    async def close(self) -> None:
        """End the connection."""
        await end(self._writer)

    async def _head(self) -> Reply:
        while True:
            block = await self._reader.readuntil(b"\r\n\r\n")
            reply = parse_head(block)
            if reply.status >= _FINAL or reply.status == _SWITCHING:
                return reply

    async def _body(self, request: Request, reply: Reply) -> Reply:
        length = reply.header("content-length")
        if request.method == "HEAD" or reply.status in _BODILESS or reply.status == _SWITCHING:
            return reply
        if reply.header("transfer-encoding")[-1:] == ("chunked",):
            return replace(reply, body=await self._chunks())
        if length:
            return replace(reply, body=await self._reader.readexactly(int(length[0])))
        return replace(reply, body=await self._reader.read(), reusable=False)

    async def _chunks(self) -> bytes:
        body = bytearray()
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            continue  # trailers are read past: nobody asks for them
        return bytes(body)


def encoded(request: Request) -> bytes:
    """Write a request as bytes; a `content-length` is added when the body needs one and none is given."""
    names = {name.lower() for name, _ in request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in without(request.headers, frozenset({"host"}))]
    if (request.body or request.method in _EXPECTS_BODY) and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join((*lines, "", "")).encode() + request.body


def parse_head(block: bytes) -> Reply:
    """Read a status line and headers; ValueError when they are no HTTP/1."""
    first, *lines = block[:-4].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError(f"no status line: {first[:80]!r}")
    headers = tuple(_header(line) for line in lines)
    reply = Reply(Outcome.ANSWERED, status=int(rest[:3]), headers=headers)
    stays = version == "HTTP/1.1" and "close" not in ",".join(reply.header("connection")).lower()
    return replace(reply, reusable=stays and reply.status != _SWITCHING)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"no header line: {line[:80]!r}")
    return name, value.strip()
