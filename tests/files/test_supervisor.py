"""A real Envoy comes back after a crash, loses no request when it is stopped, and never outlives its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.facts import wait_for
from tests.harness.static_envoy import bootstrap, cluster, http_listener, route

from northgate.files.admin import Admin, AdminError
from northgate.files.backoff import Backoff
from northgate.files.supervisor import Crashed, Drain, EnvoyOptions, EnvoyProcess, Started, Stopped
from northgate.ops.exchange import Outcome, Request, Target
from northgate.ops.requests import Client

pytestmark = pytest.mark.envoy

QUICK = Backoff(first=0.05, longest=0.2)
Admitted = Callable[[], Awaitable[bool]]


class Supervised:
    """An Envoy under supervision, and what its supervisor told."""

    def __init__(self, options: EnvoyOptions) -> None:
        self.log: list[str] = []
        self.events: list[object] = []
        self.envoy = EnvoyProcess(options, self.log.append, self.events.append, chance=lambda: 0.0)
        self.running = asyncio.create_task(self.envoy.run())

    async def until(self, fact: Admitted, what: str) -> None:
        try:
            await wait_for(fact, what, 20.0)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *map(str, self.events), *self.log[-20:]])) from error

    async def ready(self) -> None:
        await self.until(self.envoy.admin.ready, "Envoy is LIVE")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's folder: a unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ng-") as path:
        yield Path(path)


def options_for(binary: Path, folder: Path, config: dict, **more) -> EnvoyOptions:
    admin = folder / "admin.sock"
    text = json.dumps({**config, "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}}})
    run = folder / "run"
    return EnvoyOptions(binary, text, admin, run, concurrency=1, backoff=QUICK, **more)


@asynccontextmanager
async def supervised(options: EnvoyOptions) -> AsyncIterator[Supervised]:
    found = Supervised(options)
    try:
        yield found
    finally:
        found.running.cancel()
        with suppress(asyncio.CancelledError):
            await found.running
        assert found.envoy.pid is None


@pytest.fixture
def edge(envoy_binary, folder, echo_upstreams, free_port) -> tuple[EnvoyOptions, Target]:
    port = free_port()
    listener = http_listener("edge", {"*": [route("/", "a")]}, port=port)
    config = bootstrap([listener], [cluster("a", echo_upstreams.port("echo-a"))])
    return options_for(envoy_binary, folder, config), Target(("127.0.0.1", port))


async def get(client: Client, target: Target, path: str = "/") -> int | Outcome:
    reply = await client.send(target, Request("GET", path, "edge"), keep=True)
    return reply.status if reply.outcome is Outcome.ANSWERED else reply.outcome


async def test_a_crashed_envoy_is_followed_by_one_that_serves(edge):
    options, target = edge
    async with supervised(options) as edge_envoy, Client() as client:
        await edge_envoy.ready()
        first = edge_envoy.envoy.pid
        assert await get(client, target) == 200
        os.kill(first, signal.SIGKILL)

        async def another() -> bool:
            return edge_envoy.envoy.pid not in (None, first) and await edge_envoy.envoy.admin.ready()

        await edge_envoy.until(another, "another Envoy is LIVE")
        second = edge_envoy.envoy.pid
        async with Client() as fresh:
            assert await get(fresh, target) == 200
        assert edge_envoy.events == [Started(first), Crashed(first, -signal.SIGKILL, 0.025), Started(second)]


async def test_an_envoy_that_cannot_start_is_tried_again_at_growing_intervals(envoy_binary, folder):
    options = options_for(envoy_binary, folder, {"static_resources": {"listenerz": []}})
    async with supervised(options) as found:

        async def crashed_three_times() -> bool:
            return sum(isinstance(event, Crashed) for event in found.events) >= 3

        await found.until(crashed_three_times, "three crashes")
        crashes = [event for event in found.events if isinstance(event, Crashed)][:3]
        assert [(crash.status, crash.rest) for crash in crashes] == [(1, 0.025), (1, 0.05), (1, 0.1)]
        assert any("listenerz" in line for line in found.log)
        await found.envoy.stop()
        assert found.running.done()


async def test_a_request_in_flight_is_answered_before_envoy_stops(edge, echo_upstreams):
    options, target = edge
    async with supervised(options) as found, Client() as client:
        await found.ready()
        pid = found.envoy.pid
        slow = asyncio.create_task(get(client, target, "/slow?delay=1500ms"))

        async def in_flight() -> bool:
            return await found.envoy.admin.connections() == 1

        await found.until(in_flight, "a request is in flight")
        await found.envoy.stop()
        assert slow.done()
        assert await slow == 200
        assert found.running.done()
        assert found.events == [Started(pid), Stopped(pid, 0)]
        async with Client() as fresh:
            assert await get(fresh, target) == Outcome.REFUSED


async def test_draining_is_said_before_connections_are_refused_and_lasts_its_least_time(edge):
    options, target = edge
    async with supervised(replace(options, drain=Drain(least=1.0, most=10.0))) as found, Client() as client:
        await found.ready()
        stopping = asyncio.create_task(found.envoy.stop())

        async def draining() -> bool:
            return not await found.envoy.admin.ready()

        await found.until(draining, "Envoy says that it is draining")
        assert not stopping.done()
        assert await get(client, target) == 200
        await stopping


async def test_connections_that_never_end_are_cut_after_the_longest_time(edge):
    options, target = edge
    async with supervised(replace(options, drain=Drain(most=0.5))) as found:
        await found.ready()
        _, writer = await asyncio.open_connection(*target.address)

        async def connected() -> bool:
            return await found.envoy.admin.connections() == 1

        await found.until(connected, "a client is connected")
        await found.envoy.stop()
        writer.close()
        assert isinstance(found.events[-1], Stopped)
        assert found.events[-1].open_connections == 1


async def test_a_frozen_envoy_is_killed(edge):
    options, _ = edge
    async with supervised(replace(options, drain=Drain(most=0.5, kill_after=0.5))) as found:
        await found.ready()
        pid = found.envoy.pid
        os.kill(pid, signal.SIGSTOP)
        await found.envoy.stop()
        assert found.events[-1] == Stopped(pid, None)
        assert gone(pid)
        assert any("draining was cut short" in line for line in found.log)


async def test_stopping_before_or_while_starting_leaves_nothing(edge):
    options, _ = edge
    found = Supervised(options)
    await found.envoy.stop()
    await found.running
    assert found.events == []
    found = Supervised(options)
    await asyncio.sleep(0)
    await found.envoy.stop()
    assert found.envoy.pid is None
    assert found.running.done()


async def test_an_interrupt_of_the_terminal_does_not_reach_envoy(edge):
    options, _ = edge
    async with supervised(options) as found:
        await found.ready()
        assert os.getpgid(found.envoy.pid) != os.getpgid(0)


async def test_the_files_are_the_owners_alone_and_the_log_comes_line_by_line(edge):
    options, _ = edge
    async with supervised(options) as found:
        await found.ready()
        assert stat.S_IMODE(options.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((options.folder / "bootstrap.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(options.admin.stat().st_mode) == 0o600
        assert any("starting main dispatch loop" in line for line in found.log)
        assert not any("\n" in line for line in found.log)


async def test_the_admin_tells_what_it_cannot_do(edge, tmp_path):
    options, _ = edge
    async with supervised(options) as found:
        await found.ready()
        admin = found.envoy.admin
        assert (await admin.stats("server.live"))["server.live"] == 1
        with pytest.raises(AdminError, match="GET /nothing: 404"):
            await admin.get("/nothing")
        with pytest.raises(AdminError, match="405"):
            await admin.get("/healthcheck/fail")
    with pytest.raises(AdminError, match="GET /ready"):
        await Admin(tmp_path / "none.sock").get("/ready")
    assert not await Admin(tmp_path / "none.sock").ready()


def gone(pid: int) -> bool:
    """No such process, or only its entry for a parent that has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


PARENT = """
import asyncio, json, sys
from pathlib import Path
from northgate.files.supervisor import EnvoyOptions, EnvoyProcess
binary, text, admin, folder = json.loads(sys.argv[1])
options = EnvoyOptions(Path(binary), text, Path(admin), Path(folder), concurrency=1)
told = lambda event: print(event.pid, flush=True)
asyncio.run(EnvoyProcess(options, lambda line: None, told).run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
async def test_envoy_dies_with_its_parent(edge):
    options, _ = edge
    arguments = json.dumps([str(options.binary), options.bootstrap, str(options.admin), str(options.folder)])
    paths = os.pathsep.join(path for path in sys.path if path)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, arguments, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        child = int(await parent.stdout.readline())
        await wait_for(Admin(options.admin).ready, "Envoy is LIVE", 20.0)
        assert not gone(child)
    finally:
        parent.kill()
        await parent.wait()

    async def child_gone() -> bool:
        return gone(child)

    try:
        await wait_for(child_gone, "Envoy ended with its parent")
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
