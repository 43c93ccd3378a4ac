"""How does an Envoy stay up, and how does it end? Restarted after a crash, drained before it is stopped.

Envoy is started without hot restart: one supervisor owns one Envoy, so nobody takes over from it, and the shared memory
and base ids that hot restart needs collide between processes and outlive a crash.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from northgate.files import launch
from northgate.files.admin import Admin, AdminError
from northgate.files.backoff import Backoff

_LOOK = 0.1
_LONGEST_LINE = 65_536


@dataclass(frozen=True, slots=True)
class Drain:
    """How long Envoy takes to leave, in seconds.

    It serves for `least` while balancers learn that it leaves, then until all connections are closed but no longer than
    `most`, and is killed when it has not ended `kill_after` it was told to.
    """

    least: float = 0.0
    most: float = 30.0
    kill_after: float = 5.0


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """What is run, and how.

    `bootstrap` is JSON text whose admin interface listens at `admin`. It is written to `folder`, which is made for this
    user alone. `concurrency` None: as many workers as there are processors.
    """

    binary: Path
    bootstrap: str
    admin: Path
    folder: Path
    concurrency: int | None = None
    log_level: str = "info"
    drain: Drain = field(default_factory=Drain)
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Started:
    """An Envoy runs; whether it is ready says its admin interface."""

    pid: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """Envoy ended unasked, with this status (negative: by that signal); the next one starts after `rest` seconds."""

    pid: int
    status: int
    rest: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Envoy ended as it was told to. `open_connections` were cut; None: it no longer answered to be asked."""

    pid: int
    open_connections: int | None


EnvoyEvent = Started | Crashed | Stopped


class EnvoyProcess:
    """One Envoy at a time. `run` keeps it up until `stop`; cancelling `run` ends it without draining.

    `on_log` gets each line of Envoy's output without its end, `on_event` what happens; both are called in the loop and
    must not raise. `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        options: EnvoyOptions,
        on_log: Callable[[str], None],
        on_event: Callable[[EnvoyEvent], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.admin = Admin(options.admin)
        self._options = options
        self._on_log = on_log
        self._on_event = on_event
        self._chance = chance
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def pid(self) -> int | None:
        """The process id, None while no Envoy runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def run(self) -> None:
        """Keep an Envoy running; returns after `stop`. Signals of this process are the caller's business."""
        crashes = 0
        self._ended.clear()
        try:
            while not self._stopping.is_set():
                begun = time.monotonic()
                process, status = await self._run_once()
                if self._stopping.is_set():
                    break
                crashes = self._options.backoff.crashes(crashes, time.monotonic() - begun)
                rest = self._options.backoff.rest(crashes, self._chance())
                self._on_event(Crashed(process.pid, status, rest))
                await _set_within(self._stopping, rest)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Drain, then end Envoy for good; returns when it is gone."""
        self._stopping.set()
        process = self._process
        if process is not None and process.returncode is None:
            open_connections = await self._drain(process)
            await self._end(process)
            self._on_event(Stopped(process.pid, open_connections))
        await self._ended.wait()

    async def _run_once(self) -> tuple[asyncio.subprocess.Process, int]:
        process = self._process = await self._start()
        self._on_event(Started(process.pid))
        try:
            if not self._stopping.is_set():
                await self._forward_log(process)
                await process.wait()
        finally:
            if process.returncode is None:
                await self._end(process)
        return process, process.returncode or 0

    async def _start(self) -> asyncio.subprocess.Process:
        options = self._options
        file = options.folder / "bootstrap.json"
        await asyncio.to_thread(_write_private, file, options.bootstrap)
        workers = () if options.concurrency is None else ("--concurrency", str(options.concurrency))
        command = (
            str(options.binary),
            *("-c", str(file), "--disable-hot-restart", "--log-level", options.log_level, *workers),
            *("--drain-time-s", str(max(1, math.ceil(options.drain.least)))),
        )
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A Ctrl-C in the terminal goes to all of its session; Envoy would end at once instead of draining.
            start_new_session=True,
        )

    async def _forward_log(self, process: asyncio.subprocess.Process) -> None:
        """Forward lines until Envoy closes its output; a line without end is cut in pieces."""
        assert process.stdout is not None  # noqa: S101 - opened above
        rest = b""
        while chunk := await process.stdout.read(_LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._on_log(line.decode(errors="replace"))
        if rest:
            self._on_log(rest.decode(errors="replace"))

    async def _drain(self, process: asyncio.subprocess.Process) -> int | None:
        """Say that this Envoy leaves and let connections end; returns how many are open still."""
        drain, begun = self._options.drain, time.monotonic()
        try:
            await self.admin.post("/healthcheck/fail")
            await self.admin.post("/drain_listeners?graceful&skip_exit")
            while process.returncode is None:
                open_connections, waited = await self.admin.connections(), time.monotonic() - begun
                if waited >= drain.most or (not open_connections and waited >= drain.least):
                    return open_connections
                await asyncio.sleep(_LOOK)
        except AdminError as error:
            self._on_log(f"draining was cut short: {error}")
        return None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """SIGTERM, and SIGKILL when that does not help in time."""
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.drain.kill_after):
                    await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text, encoding="utf-8")
