from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientSession, web
from tests.core.objects import put
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import gateway, get, listener, route, running, target, to

from northgate.ops.exchange import Outcome, Reply, Request, end
from northgate.ops.http1 import parse_head
from northgate.ops.requests import Client
from northgate.ops.scenery import NAMESPACE

pytestmark = pytest.mark.envoy
HOST = "a.example.test"


def scene(**hardening: Any) -> list[Any]:
    block = {"hardening": hardening} if hardening else {}
    return [gateway(listener("http", 80), **block), route("a", "http")]


async def _raw(edge: RunningEdge, text: str, seconds: float = 10.0) -> Reply:
    """Send exactly these bytes and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.ports[80])
    try:
        writer.write(text.replace("\n", "\r\n").encode())
        return parse_head(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), seconds))
    except asyncio.IncompleteReadError:
        return Reply(Outcome.CLOSED)
    finally:
        await end(writer)


async def _send(edge: RunningEdge, path: str = "/", http: int = 1, **headers: str) -> Reply:
    return await get(target(edge, 80, http=http), HOST, path, **headers)


def _path(edge: RunningEdge) -> str:
    return edge.upstreams["echo-a"].recent[-1].path


def _seen(edge: RunningEdge) -> Mapping[str, tuple[str, ...]]:
    return edge.upstreams["echo-a"].recent[-1].headers


async def test_paths_have_one_spelling() -> None:
    async with running(scene()) as edge:
        for written, sent in (
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a//b", "/a/b"),
            ("/%61/%2e%2e/b", "/b"),
            ("/a\\b", "/a/b"),
            ("/../../b", "/b"),
            ("/a/..;/b", "/b"),
        ):
            assert (await _send(edge, written)).status == 200, written
            assert _path(edge) == sent
        for written, location in (("/a%2fb", "/a/b"), ("/a%5Cb?c=%2f", "/a/b?c=%2f"), ("/x/..%2fb", "/b")):
            reply = await _send(edge, written)
            assert (reply.status, reply.header("location")) == (307, (location,)), written
        assert (await _send(edge, "/a%00b")).status == 400


async def test_odd_headers_are_refused() -> None:
    async with running(scene()) as edge:
        chunked = "transfer-encoding: chunked\n"
        for text in (
            f"POST / HTTP/1.1\nhost: {HOST}\ncontent-length: 5\n{chunked}\n0\n\n",
            f"POST / HTTP/1.1\nhost: {HOST}\n{chunked}content-length: 5\n\n0\n\n",
            f"POST / HTTP/1.1\nhost: {HOST}\ncontent-length: 5\ncontent-length: 6\n\nhello",
            f"POST / HTTP/1.1\nhost: {HOST}\ntransfer-encoding: identity, chunked, gzip\n\n0\n\n",
            f"GET / HTTP/1.1\nhost: {HOST}\nx-a : b\n\n",
            f"GET / HTTP/1.1\nhost: {HOST}\nx_user: b\n\n",
            "GET / HTTP/1.1\nx-a: b\n\n",
        ):
            assert (await _raw(edge, text)).status in (400, 501), text
        assert edge.upstreams["echo-a"].requests == 0


@pytest.mark.parametrize("http", [1, 2])
async def test_an_underscore_in_a_header_name(http: int) -> None:
    request = Request("GET", "/", HOST, (("x_user", "b"),))
    async with running(scene()) as edge, Client() as client:
        refused = await client.send(target(edge, 80, http=http), request)
        assert refused.status == 400 or refused.outcome is Outcome.RESET


async def test_too_many_and_too_long_headers() -> None:
    async with running(scene()) as edge:
        assert (await _send(edge, **{f"x-{n}": "v" for n in range(80)})).status == 200
        assert (await _send(edge, **{f"x-{n}": "v" for n in range(101)})).status == 431
        assert (await _send(edge, x="v" * (50 << 10))).status == 200
        assert (await _send(edge, x="v" * (61 << 10))).status == 431
        many = await _send(edge, http=2, **{f"x-{n}": "v" for n in range(101)})
        assert many.status == 431 or many.outcome is Outcome.RESET


async def test_slow_headers_are_not_waited_for() -> None:
    async with running(scene()) as edge:
        begun = time.monotonic()
        assert (await _raw(edge, f"GET / HTTP/1.1\nhost: {HOST}\n")).status == 408
        assert 4.5 <= time.monotonic() - begun <= 8


async def test_what_clients_say_of_themselves_is_forgotten() -> None:
    said = {
        "x-forwarded-for": "10.1.1.1",
        "x-forwarded-host": "internal",
        "x-forwarded-proto": "https",
        "x-forwarded-client-cert": "Subject=admin",
        "x-real-ip": "10.1.1.1",
        "true-client-ip": "10.1.1.1",
        "forwarded": "for=10.1.1.1",
        "x-envoy-internal": "true",
        "x-envoy-external-address": "10.1.1.1",
        "x-envoy-max-retries": "9",
        "x-envoy-original-path": "/admin",
    }
    rule = to("echo-b", matches=[{"clientAddresses": ["10.0.0.0/8"]}])
    objects = [*scene(), route("inside", "http", rule=rule)]
    async with running(objects) as edge:
        assert (await _send(edge, **said)).header("x-echo-upstream") == ("echo-a",)
        seen = _seen(edge)
        assert not {name: seen[name] for name in said if name in seen and said[name] in str(seen[name])}
        assert seen["x-forwarded-proto"] == ("http",)


async def test_trusted_hops_tell_who_the_client_is() -> None:
    rule = to("echo-b", matches=[{"clientAddresses": ["10.0.0.0/8"]}])
    objects = [*scene(trustedHops=1), route("inside", "http", rule=rule)]
    async with running(objects) as edge:
        inside = await _send(edge, x_forwarded_for="10.1.1.1", x_forwarded_proto="https")
        assert inside.header("x-echo-upstream") == ("echo-b",)
        seen = edge.upstreams["echo-b"].recent[-1].headers
        assert seen["x-forwarded-for"][0].startswith("10.1.1.1")
        assert seen["x-forwarded-proto"] == ("https",)
        # The last entry is the one the trusted proxy wrote; what stands before it came from the client.
        outside = await _send(edge, x_forwarded_for="10.1.1.1, 198.51.100.7", x_envoy_max_retries="9")
        assert outside.header("x-echo-upstream") == ("echo-a",)
        assert "x-envoy-max-retries" not in _seen(edge)


async def _protections(edge: RunningEdge) -> set[str]:
    """Which protections that can be switched off are on, by what requests meet."""
    async with Client() as client:
        where = target(edge, 80)
        underscore = await client.send(where, Request("GET", "/", HOST, (("x_user", "b"),)))
        escaped = await client.send(where, Request("GET", "/a%2fb", HOST))
        await client.send(where, Request("GET", "/merge//me", HOST))
    found = {"UnderscoreHeaders"} if underscore.status == 400 else set()
    found |= {"EscapedSlashes"} if escaped.status == 307 else set()
    return found | ({"MergeSlashes"} if _path(edge) == "/merge/me" else set())


@pytest.mark.parametrize("exception", [None, "UnderscoreHeaders", "EscapedSlashes", "MergeSlashes"])
async def test_an_exception_switches_off_its_own_protection_only(exception: str | None) -> None:
    everything = {"UnderscoreHeaders", "EscapedSlashes", "MergeSlashes"}
    async with running(scene(**({"exceptions": [exception]} if exception else {}))) as edge:
        assert await _protections(edge) == everything - {exception}


async def test_websockets_pass_and_outlive_the_request_timeout() -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/chat", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    rule = {"backendRefs": [{"kind": "Upstream", "name": "chat"}], "timeouts": {"request": "300ms"}}
    objects = [
        gateway(listener("http", 80)),
        put("Upstream", "chat", {"static": [{"address": "127.0.0.1", "port": port}]}, NAMESPACE),
        route("chat", "http", rule=rule),
    ]
    try:
        async with running(objects) as edge, ClientSession() as session:
            url = f"http://127.0.0.1:{edge.ports[80]}/chat"
            async with session.ws_connect(url, headers={"host": HOST}) as socket:
                begun = time.monotonic()
                while time.monotonic() - begun < 0.8:
                    await socket.send_str("hello")
                    assert await socket.receive_str(timeout=5) == "hello"
                    await asyncio.sleep(0.05)
    finally:
        await runner.cleanup()
