from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.h2_upstream import H2Echo
from tests.harness.ports import HeldPorts

from northgate.ops.echo_server import EchoUpstreams
from northgate.ops.exchange import ClientTls, Outcome, Request, Target
from northgate.ops.requests import Client

GET = Request("GET", "/", "raw.example.test")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[Target]:
    """A server that reads one request head and then does what `serve` does."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield Target(server.sockets[0].getsockname()[:2])
    finally:
        server.close()
        await server.wait_closed()


async def answered_with(raw: bytes, request: Request = GET) -> Outcome | tuple[int, bytes]:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    async with serving(serve) as target, Client(5) as client:
        reply = await client.send(target, request)
    return (reply.status, reply.body) if reply.outcome is Outcome.ANSWERED else reply.outcome


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (b"", Outcome.CLOSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", Outcome.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", Outcome.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Outcome.TRUNCATED),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Outcome.GARBLED),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Outcome.GARBLED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n", Outcome.GARBLED),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", (200, b"to the end")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", (200, b"hello")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", (200, b"x")),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nt: 1\r\n\r\n", (200, b"hello")),
    ],
)
async def test_each_end_of_an_answer_is_told_apart(raw: bytes, seen: Outcome | tuple[int, bytes]) -> None:
    assert await answered_with(raw) == seen


async def test_the_answer_to_head_has_no_body() -> None:
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    assert await answered_with(raw, Request("HEAD", "/", "raw.example.test")) == (200, b"")


async def test_a_reset_is_not_a_close() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with serving(serve) as target, Client() as client:
        assert (await client.send(target, GET)).outcome is Outcome.RESET


async def test_silence_is_a_timeout() -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as target, Client(0.05) as client:
        reply = await client.send(target, GET)
    assert reply.outcome is Outcome.TIMEOUT
    assert 0.05 <= reply.seconds < 5


async def test_a_port_where_nobody_listens_refuses(free_port: HeldPorts) -> None:
    async with Client() as client:
        assert (await client.send(Target(("127.0.0.1", free_port())), GET)).outcome is Outcome.REFUSED


async def test_an_answer_before_the_body_was_read_is_seen() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        await held.wait()

    held = asyncio.Event()
    async with serving(serve) as target, Client() as client:
        reply = await client.send(target, Request("POST", "/", "raw.example.test", body=b"x" * (8 << 20)))
        held.set()
    assert (reply.status, reply.body) == (413, b"no")


async def test_connections_are_reused_only_when_asked_and_alive(echo_upstreams: EchoUpstreams) -> None:
    target = Target(("127.0.0.1", echo_upstreams.port("echo-a")))
    async with Client() as client:
        first, second = [await client.send(target, GET) for _ in range(2)]
        fresh = await client.send(target, GET, keep=False)
        await echo_upstreams.stop("echo-a")
        await echo_upstreams.start("echo-a")
        after = await client.send(target, GET)
    assert [first.reused, second.reused, fresh.reused, after.reused] == [False, True, False, False]
    assert after.status == 200


@pytest.mark.parametrize("secure", [False, True], ids=["prior-knowledge", "alpn"])
async def test_http2_exchanges_bodies_larger_than_a_window(
    *, secure: bool, tls_pairs: TlsPairs, tmp_path: Path
) -> None:
    pair = tls_pairs.issue("h2.example.test")
    tls = pair.echo_tls(tmp_path, ("h2",)) if secure else None
    async with H2Echo("echo-h2", tls) as echo, Client() as client:
        trust = ClientTls("h2.example.test", tls_pairs.write_ca(tmp_path)) if secure else None
        target = Target(("127.0.0.1", echo.port), trust, http=2)
        request = Request("POST", "//x/..?a", "h2.example.test", (("X-A", "1"),), b"y" * 200_000)
        sent = await client.send(target, request)
        got = await client.send(target, Request("GET", "/?body=200000&status=404", "h2.example.test"))
        reset = await client.send(target, Request("GET", "/?drop=reset", "h2.example.test"))
        after = await client.send(target, GET)
    told = json.loads(sent.body)
    assert (told["path"], told["http"], told["headers"]["x-a"]) == ("//x/..?a", "2", ["1"])
    assert told["body"] == "y" * 200_000
    assert (got.status, got.body, got.reused) == (404, b"x" * 200_000, True)
    assert (reset.outcome, reset.detail) == (Outcome.RESET, "RST_STREAM 2")
    assert (after.status, after.reused, echo.connections) == (200, True, 1)
    assert sent.serial == (pair.serial if secure else "")


async def test_http2_answers_covered_by_a_goaway_arrive_and_the_connection_is_left() -> None:
    async with H2Echo("echo-h2") as echo, Client() as client:
        target = Target(("127.0.0.1", echo.port), http=2)
        echo.say_goaway = True
        first = await client.send(target, Request("GET", "/?body=100000", "h2.example.test"))
        second = await client.send(target, GET)
    assert (first.status, len(first.body)) == (200, 100_000)
    assert (second.status, second.reused, echo.connections) == (200, False, 2)


async def test_http2_connection_that_ends_without_an_answer_is_closed() -> None:
    async with H2Echo("echo-h2") as echo, Client() as client:
        target = Target(("127.0.0.1", echo.port), http=2)
        assert (await client.send(target, Request("GET", "/?drop=close", "a"))).outcome is Outcome.CLOSED


async def test_alpn_without_h2_is_a_failed_handshake(tls_pairs: TlsPairs, tmp_path: Path) -> None:
    tls = tls_pairs.issue("h1.example.test").echo_tls(tmp_path)
    async with EchoUpstreams(("echo-a",), tls=tls) as ups, Client() as client:
        trust = ClientTls("h1.example.test", tls_pairs.write_ca(tmp_path))
        reply = await client.send(Target(("127.0.0.1", ups.port("echo-a")), trust, http=2), GET)
    assert reply.outcome is Outcome.HANDSHAKE
