"""What does `northgate status` print, in each form, and what does its exit status say?"""

from __future__ import annotations

import asyncio
import json
import os

import pytest
import yaml
from tests.standalone.server import COMMAND, Server, gateway, route, run

from northgate.run import Settings, Standalone

pytestmark = pytest.mark.envoy


async def serving(server: Server) -> str:
    server.write("gateway.yaml", gateway())
    server.write("a.yaml", route("a", "one"))
    await server.start()
    await server.answers("a.test", "one")
    return str(server.whereabouts()["status"])


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


async def test_all_is_well(envoy_binary):
    async with Server() as server:
        address = await serving(server)
        code, out, err = await run("status", "--server", address, "--wait", "20")
        assert (code, err) == (0, "")
        objects, proxies = out.split("\n\n")
        assert rows(objects) == [
            ["KIND", "NAMESPACE", "NAME", "PROGRAMMED", "READY", "REASON"],
            ["EdgeGateway", "edge", "edge", "True", "True", "Ready"],
            ["Route", "shop", "a", "True", "True", "Ready"],
        ]
        assert rows(proxies)[0] == ["PROXY", "GATEWAY", "LDS", "RDS", "CDS", "EDS", "SDS", "REVISION"]
        assert rows(proxies)[1][:5] == ["edge-edge", "edge/edge", "SYNCED", "SYNCED", "SYNCED"]

        as_json, as_yaml = [await run("status", "--server", address, "-o", form) for form in ("json", "yaml")]
        found = json.loads(as_json[1])
        assert found == yaml.safe_load(as_yaml[1])
        assert (as_json[0], as_yaml[0]) == (0, 0)
        assert found["problems"] == []
        assert found["server"] == server.whereabouts()
        assert [one["gateway"] for one in found["envoys"]] == ["edge/edge"]
        assert (await run("status", NORTHGATE_STATUS=address))[0] == 0

        server.write("b.yaml", route("b", "two", "gone"))

        async def unready() -> bool:
            return (await run("status", "--server", address))[0] == 1

        await server.until(unready, "an object that is not ready ends it with 1")
        code, out, _ = await run("status", "--server", address, "--wait", "0.3")
        assert code == 1
        assert "EdgeGateway edge/gone does not exist" in json.dumps(await server.status())
        assert ["Route", "shop", "b", "False"] in [row[:4] for row in rows(out)]


async def test_watching_prints_again_when_something_changes(envoy_binary):
    async with Server() as server:
        address = await serving(server)
        watching = await asyncio.create_subprocess_exec(
            *COMMAND, "status", "--watch", "--server", address, stdout=asyncio.subprocess.PIPE
        )
        assert watching.stdout is not None
        try:
            assert (await asyncio.wait_for(watching.stdout.readline(), 20)).startswith(b"KIND")
            server.write("b.yaml", route("b", "two"))
            async with asyncio.timeout(20):
                while b"Route         shop        b" not in (line := await watching.stdout.readline()):
                    assert line
        finally:
            watching.terminate()
            await watching.wait()


async def test_nobody_answers(free_port):
    port = free_port()
    code, out, err = await run("status", "--server", f"127.0.0.1:{port}")
    assert (code, out) == (3, "")
    assert err.startswith(f"no control plane answers at 127.0.0.1:{port} (")
    assert "start `northgate serve`, or set --server" in err
    assert (await run("status", "--server", "nonsense"))[0] == 3
    assert (await run("status", "-o", "xml"))[0] == 2


async def test_the_status_of_a_server_on_an_ipv6_address(tmp_path):
    (tmp_path / "nothing.yaml").write_text("# nothing is served\n")
    standalone = Standalone(Settings(tmp_path, xds="127.0.0.1:0", status="[::1]:0"))
    running = asyncio.create_task(standalone.run())
    try:
        await asyncio.wait_for(standalone.read.wait(), 20)
        assert standalone.status_address.startswith("[::1]:")
        assert await run("status", "--server", standalone.status_address) == (0, "", "")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_answer_that_is_no_status(free_port):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, _, err = await run("status", "--server", f"127.0.0.1:{port}")
    assert code == 3
    assert f"127.0.0.1:{port}" in err
    assert os.linesep in err


async def test_wait_also_waits_for_the_server_and_for_what_it_has_yet_to_read(envoy_binary, free_port):
    port = free_port()
    address = f"127.0.0.1:{port}"
    waiting = asyncio.create_task(run("status", "--server", address, "--wait", "60"))
    async with Server("--status-listen", address) as server:
        server.write("gateway.yaml", gateway())
        server.write("a.yaml", route("a", "one"))
        free_port.release(port)
        await server.start()
        code, out, err = await waiting
    assert (code, err) == (0, "")
    assert [row[:3] for row in rows(out)][1:3] == [["EdgeGateway", "edge", "edge"], ["Route", "shop", "a"]]
