"""How does a standalone edge run? A folder watched, one control plane, Envoys supervised, a status site: wired here."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, assert_never

from northgate.api.parse import GROUP, SPECS, known
from northgate.control import ControlPlane
from northgate.files.binary import find_envoy
from northgate.files.claims import Claims
from northgate.files.documents import Document, FileProblem, field_path
from northgate.files.folder import Folder
from northgate.files.site import StatusSite, write_report
from northgate.files.supervisor import Crashed, Drain, EnvoyEvent, EnvoyOptions, EnvoyProcess, Started, Stopped
from northgate.files.watch import SETTLE, FolderChange, watch
from northgate.ops.findings import left_out
from northgate.ops.metrics import PlaneMetrics
from northgate.ops.proxies import bootstrap_options, xds_address
from northgate.ops.report import Report, report, summary
from northgate.translate.bootstrap import bootstrap_json
from northgate.translate.listeners import Binding
from northgate.world.key import ObjectKey
from northgate.world.store import Name

log = logging.getLogger(__name__)

_STATUS_EVERY = 1.0
_ROUNDS_AT_REST = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """How a standalone edge runs.

    `bind` is the address listeners are bound to and `ports` other port numbers for some of them. `xds` and `status` are
    `host:port`, port 0 for a free one; `status` empty for no site. `envoy` starts one proxy per gateway;
    `drain` is how many seconds it may take to finish connections when it is stopped.
    """

    folder: Path
    bind: str = "127.0.0.1"
    ports: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    xds: str = "127.0.0.1:18000"
    status: str = "127.0.0.1:18001"
    status_file: Path | None = None
    envoy: bool = False
    envoy_path: str | None = None
    concurrency: int | None = None
    drain: float = 10.0
    polling: bool = False


class Standalone:
    """A standalone edge. `run` serves until it is cancelled.

    `started` is set once its addresses are known, `read` once the folder was read completely.
    """

    def __init__(self, settings: Settings, adapt: Callable[[Document], Mapping[str, Any]] | None = None) -> None:
        """`adapt` may change what a document declares before it is taken in."""
        self.settings = settings
        self._adapt = adapt or (lambda document: document.raw)
        self.plane = ControlPlane(Binding(settings.bind, settings.ports))
        self.started = asyncio.Event()
        self.read = asyncio.Event()
        self.xds_address = ""
        self.status_address = ""
        self._claims = Claims(Binding(settings.bind, settings.ports).port)
        self._problems: tuple[FileProblem, ...] = ()
        self._foreign: dict[ObjectKey, FileProblem] = {}
        self._envoys: dict[Name, RunningEnvoy] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._numbers = count()

    async def run(self) -> None:
        """Serve. On cancellation proxies are drained, then everything is stopped."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.plane.stop)
            self.xds_address = await self._start_plane()
            log.info("xDS on %s", self.xds_address)
            if self.settings.status:
                await self._start_site(stack)
            runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="northgate-")))
            stack.push_async_callback(self._stop_envoys)
            self.started.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(runtime))
                tasks.create_task(self._publish_statuses())

    async def _start_plane(self) -> str:
        try:
            return await self.plane.start(self.settings.xds)
        except RuntimeError as error:
            why = "it is in use, or no address of this machine, so choose another by --xds"
            raise OSError(f"xDS cannot be served on {self.settings.xds}: {why}") from error

    async def _start_site(self, stack: AsyncExitStack) -> None:
        site = StatusSite(self.report, self.read.is_set, PlaneMetrics(self.plane).text)
        host, _, port = self.settings.status.rpartition(":")
        stack.push_async_callback(site.stop)
        try:
            bound = await site.start(host.strip("[]"), int(port))
        except OSError as error:
            why = f"{error.strerror}; choose another address by --status-listen"
            raise OSError(f"the status cannot be served on {self.settings.status}: {why}") from error
        self.status_address = f"{host}:{bound}"
        log.info("status on http://%s/status", self.status_address)

    async def _follow(self, runtime: Path) -> None:
        folder = Folder(self.settings.folder, SETTLE)
        async with aclosing(watch(folder, force_polling=self.settings.polling)) as changes:
            async for change in changes:
                self.take(change)
                if self.settings.envoy:
                    await self._match_envoys(runtime)

    def take(self, change: FolderChange) -> None:
        """Take in a change of the folder, and say in the log what is wrong with it."""
        put = self._claims.admit(change.put, change.removed) if self.settings.envoy else change.put
        self.plane.take(
            [(one.key, self._adapt(one)) for one in put if known(one.key.group, one.key.kind)],
            [key for key in change.removed if known(key.group, key.kind)],
            complete=change.complete,
        )
        self._note_foreign(change)
        problems = (*change.problems, *self._claims.problems(), *self._foreign.values())
        for problem in problems:
            if problem not in self._problems:
                log.error("%s", problem)
        self._problems = problems
        self._tell(put)
        if change.complete:
            self.read.set()

    def _note_foreign(self, change: FolderChange) -> None:
        """Remember objects that look like Northgate's own but are of no kind it knows; others are worth a line."""
        for key in change.removed:
            self._foreign.pop(key, None)
        for one in change.put:
            if known(one.key.group, one.key.kind):
                continue
            path = ("apiVersion",) if one.key.kind in SPECS else ("kind",)
            problem = FileProblem(one.file, *one.position(path), path, left_out(one.key))
            if one.key.group == GROUP or one.key.kind in SPECS:
                self._foreign[one.key] = problem
            else:
                log.info("%s", problem)

    def _tell(self, documents: Iterable[Document]) -> None:
        for document in documents:
            entry = self.plane.edge.world.entry(document.key) if known(document.key.group, document.key.kind) else None
            for problem in entry.latest.problems if entry is not None else ():
                line, column = document.position(problem.path)
                kept = "; its last good version goes on serving" if entry is not None and entry.fell_back else ""
                log.error("%s:%d:%d: %s: %s%s", document.file, line, column, document.key, problem, kept)

    def report(self) -> Report:
        """Everything `northgate status` shows; `complete` once the whole folder was read."""
        files: list[Report] = [
            {
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "field": field_path(one.path) if one.path else "",
                "message": one.message,
            }
            for one in self._problems
        ]
        return {**self._whereabouts(), "complete": self.read.is_set(), **report(self.plane, files)}

    def _whereabouts(self) -> Report:
        return {
            "server": {"pid": os.getpid(), "xds": self.xds_address, "status": self.status_address},
            "envoys": [
                {"gateway": "/".join(name), "pid": one.process.pid, "admin": str(one.admin)}
                for name, one in sorted(self._envoys.items())
            ],
        }

    async def _publish_statuses(self) -> None:
        """Write and log how everything stands when something moved, and now and then because time alone moves some."""
        said, seen, rounds = "", -1, 0
        while True:
            if self.plane.moved != seen or rounds % _ROUNDS_AT_REST == 0:
                seen = self.plane.moved
                found = self.report()
                if self.settings.status_file is not None:
                    await asyncio.to_thread(write_report, self.settings.status_file, found)
                if (now := summary(found)) != said:
                    said = now
                    log.info("%s", now)
            rounds += 1
            await asyncio.sleep(_STATUS_EVERY)

    async def _match_envoys(self, runtime: Path) -> None:
        """One Envoy for each gateway there is, none for gateways that are gone. Those drain while changes go on."""
        wanted = set(self.plane.gateways())
        for name in sorted(self._envoys.keys() - wanted):
            leaving = asyncio.create_task(self._envoys.pop(name).stop())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for name in sorted(wanted - self._envoys.keys()):
            # A number and no name: a unix socket's path has at most 107 bytes.
            self._envoys[name] = self._start_envoy(name, runtime / str(next(self._numbers)))

    def _start_envoy(self, name: Name, place: Path) -> RunningEnvoy:
        gateway = self.plane.edge.compiler.gateways[name]
        admin = place / "admin.sock"
        address = xds_address(self.xds_address)
        options = EnvoyOptions(
            binary=find_envoy(self.settings.envoy_path),
            bootstrap=bootstrap_json(bootstrap_options(gateway, "-".join(name), address, str(admin))),
            admin=admin,
            folder=place,
            concurrency=self.settings.concurrency,
            log_level="warning",
            drain=Drain(most=self.settings.drain),
        )
        label = "/".join(name)
        process = EnvoyProcess(options, lambda line: log.info("envoy %s: %s", label, line), _EnvoyLog(label))
        return RunningEnvoy(process, admin, asyncio.create_task(process.run()))

    async def _stop_envoys(self) -> None:
        await asyncio.gather(*(one.stop() for one in self._envoys.values()), *self._leaving)
        self._envoys.clear()


@dataclass(frozen=True, slots=True)
class RunningEnvoy:
    """A supervised Envoy and the task that keeps it up."""

    process: EnvoyProcess
    admin: Path
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Drain and end it."""
        await self.process.stop()
        await self.task


@dataclass(frozen=True, slots=True)
class _EnvoyLog:
    label: str

    def __call__(self, event: EnvoyEvent) -> None:
        match event:
            case Started():
                log.info("envoy %s runs as process %d", self.label, event.pid)
            case Crashed():
                again = f"the next one starts in {event.rest:.1f} s"
                log.error("envoy %s (process %d) ended with status %d; %s", self.label, event.pid, event.status, again)
            case Stopped():
                log.info("envoy %s drained, %s connections were open", self.label, event.open_connections)
            case _:
                assert_never(event)
