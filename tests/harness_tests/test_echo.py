from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.harness.certificates import TlsPairs

from northgate.ops.echo import EchoUpstream, Seen
from northgate.ops.echo_server import EchoUpstreams
from northgate.ops.exchange import ClientTls, Outcome, Reply, Request, Target
from northgate.ops.requests import Client


def target(ups: EchoUpstreams, name: str = "echo-a") -> Target:
    return Target(("127.0.0.1", ups.port(name)))


def get(path: str, **headers: str) -> Request:
    return Request("GET", path, "echo.example.test", tuple(headers.items()))


def told(reply: Reply) -> dict[str, Any]:
    assert reply.outcome is Outcome.ANSWERED, reply
    return json.loads(reply.body)


async def test_the_answer_names_the_upstream_and_tells_the_request_unchanged(echo_upstreams: EchoUpstreams) -> None:
    request = Request(
        "POST", "//a/../%2e%2E/b;c?q=%20&q", "Odd.Host:99", (("X-Twice", "1"), ("x-twice", "2")), "ö".encode()
    )
    async with Client() as client:
        answer = told(await client.send(target(echo_upstreams, "echo-b"), request))
    assert answer["upstream"] == "echo-b"
    assert (answer["method"], answer["path"], answer["body"]) == ("POST", "//a/../%2e%2E/b;c?q=%20&q", "ö")
    assert answer["headers"]["host"] == ["Odd.Host:99"]
    assert answer["headers"]["x-twice"] == ["1", "2"]
    assert answer["tls"] is None


async def test_controls_choose_status_size_headers_and_delay(echo_upstreams: EchoUpstreams) -> None:
    async with Client() as client:
        reply = await client.send(
            target(echo_upstreams), get("/?status=418&body=70000&delay=60ms&header=a:1&header=A:2:3")
        )
    assert (reply.status, reply.body, reply.header("a")) == (418, b"x" * 70_000, ("1", "2:3"))
    assert reply.header("x-echo-upstream") == ("echo-a",)
    assert reply.seconds >= 0.06


@pytest.mark.parametrize(
    "control", ["status=abc", "status=99", "delay=3", "body=-1", "header=novalue", "header=a:b%0d%0ac:d", "drop=x"]
)
async def test_a_control_that_cannot_be_read_is_answered_400(echo_upstreams: EchoUpstreams, control: str) -> None:
    async with Client() as client:
        reply = await client.send(target(echo_upstreams), get(f"/?{control}"))
    assert (reply.status, control.partition("=")[0] in reply.body.decode()) == (400, True)


async def test_the_first_requests_of_a_key_fail_in_each_run(echo_upstreams: EchoUpstreams) -> None:
    async def statuses(mark: str, key: str) -> list[int]:
        request = get(f"/?fail_first=2&key={key}", **{"x-request-table": mark})
        return [(await client.send(target(echo_upstreams), request)).status for _ in range(4)]

    async with Client() as client:
        assert await statuses("run1.1", "k") == [503, 503, 200, 200]
        assert await statuses("run1.2", "k") == [200] * 4
        assert await statuses("run1.2", "other") == [503, 503, 200, 200]
        assert await statuses("run2.1", "k") == [503, 503, 200, 200]


async def test_fail_at_fails_at_one_upstream_only(echo_upstreams: EchoUpstreams) -> None:
    async with Client() as client:
        replies = [await client.send(target(echo_upstreams, name), get("/?fail_at=echo-b")) for name in echo_upstreams]
    assert {name: reply.status for name, reply in zip(echo_upstreams, replies, strict=True)} == {
        "echo-a": 200,
        "echo-b": 503,
        "echo-c": 200,
    }


@pytest.mark.parametrize(("drop", "outcome"), [("close", Outcome.CLOSED), ("reset", Outcome.RESET)])
async def test_a_dropped_request_gets_no_answer_and_the_end_is_seen(
    echo_upstreams: EchoUpstreams, drop: str, outcome: Outcome
) -> None:
    async with Client() as client:
        reply = await client.send(target(echo_upstreams), get(f"/?drop={drop}"))
        after = await client.send(target(echo_upstreams), get("/"))
    assert (reply.outcome, reply.status, reply.body) == (outcome, 0, b"")
    assert (after.status, after.reused) == (200, False)


async def test_health_is_switched_and_not_counted_as_a_request(echo_upstreams: EchoUpstreams) -> None:
    async with Client() as client:
        healthy = await client.send(target(echo_upstreams), get("/healthz"))
        echo_upstreams["echo-a"].healthy = False
        sick = await client.send(target(echo_upstreams), get("/healthz"))
    assert (healthy.status, sick.status) == (200, 503)
    assert (echo_upstreams["echo-a"].requests, echo_upstreams["echo-a"].health_checks) == (0, 2)


async def test_a_request_that_has_not_come_yet_is_waited_for() -> None:
    upstream = EchoUpstream("echo-a")
    waiting = asyncio.ensure_future(upstream.saw(lambda seen: seen.path == "/b"))
    await asyncio.sleep(0)
    upstream.answer(Seen("GET", "/a", {}))
    upstream.answer(Seen("GET", "/b", {}))
    seen = await waiting
    assert seen is not None
    assert seen.path == "/b"
    assert await upstream.saw(lambda seen: seen.path == "/a", 0) is not None
    assert await upstream.saw(lambda seen: seen.path == "/c", 0.01) is None


async def test_a_stopped_upstream_refuses_and_comes_back_on_its_port(echo_upstreams: EchoUpstreams) -> None:
    place = target(echo_upstreams)
    async with Client() as client:
        assert (await client.send(place, get("/"))).status == 200
        slow = asyncio.ensure_future(client.send(place, get("/slow?delay=30s")))
        assert await echo_upstreams["echo-a"].saw(lambda seen: seen.path.startswith("/slow"))
        await echo_upstreams.stop("echo-a")
        assert (await slow).outcome in {Outcome.CLOSED, Outcome.RESET}
        assert (await client.send(place, get("/"))).outcome is Outcome.REFUSED
        await echo_upstreams.start("echo-a")
        assert (await client.send(place, get("/"))).status == 200


async def test_tls_upstreams_tell_the_sni_they_were_asked_for(tls_pairs: TlsPairs, tmp_path: Path) -> None:
    tls = tls_pairs.issue("*.example.test").echo_tls(tmp_path)
    async with EchoUpstreams(("echo-a",), tls=tls) as ups, Client() as client:
        address = ("127.0.0.1", ups.port("echo-a"))
        trusted = ClientTls("sni.example.test", tls_pairs.write_ca(tmp_path))
        answer = told(await client.send(Target(address, trusted), get("/")))
        stranger = await client.send(Target(address, ClientTls("sni.example.org", trusted.ca)), get("/"))
    assert answer["tls"] == {"sni": "sni.example.test", "version": "TLSv1.3"}
    assert stranger.outcome is Outcome.HANDSHAKE
    assert "sni.example.org" in stranger.detail


async def test_a_tcp_upstream_names_itself_and_then_echoes(echo_upstreams: EchoUpstreams) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo_upstreams.port("tcp-a"))
    writer.write(b"hello\n")
    assert [await reader.readline(), await reader.readline()] == [b"tcp-a\n", b"hello\n"]
    await echo_upstreams.stop("tcp-a")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert echo_upstreams.tcp("tcp-a").connections == 1
