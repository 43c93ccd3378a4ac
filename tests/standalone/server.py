"""How do tests run the standalone product? As a process of its own, with a folder, free ports and a status file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.facts import DeadlineError, wait_for
from tests.harness.ports import HeldPorts

from northgate.ops.exchange import Outcome, Reply, Request, Target
from northgate.ops.requests import Client

LIVE_WITHIN = 5.0
COMMAND = (sys.executable, "-m", "northgate.cli.main")


async def run(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run a command to its end: exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **environment},
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    return process.returncode or 0, out.decode(), err.decode()


class Server:
    """`northgate serve` on `folder`. `ports` are the free ports its listeners are bound to, by the gateway's port."""

    def __init__(self, *options: str, ports: tuple[int, ...] = (80, 81), envoy: bool = True) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="ng-serve-")
        self.folder = Path(self._scratch.name) / "objects"
        self.folder.mkdir()
        self._status_file = Path(self._scratch.name) / "status.json"
        self._log = Path(self._scratch.name) / "log"
        self._held = HeldPorts()
        self.ports = {port: self._held() for port in ports}
        self._options = ("--envoy", "--concurrency", "1", *options) if envoy else options
        self.process: asyncio.subprocess.Process
        self.client = Client()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        if hasattr(self, "process") and self.process.returncode is None:
            await self.stop(signal.SIGTERM)
        self._held.close()
        self._scratch.cleanup()

    async def start(self, xds: str = "127.0.0.1:0") -> None:
        """Start, and wait until its status can be asked."""
        self._status_file.unlink(missing_ok=True)
        bound = [f"--port={port}={here}" for port, here in self.ports.items()]
        addresses = ("--xds", xds, "--status-listen", "127.0.0.1:0", "--status-file", str(self._status_file))
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *COMMAND, "serve", str(self.folder), *addresses, *bound, *self._options, stdout=log, stderr=log
            )
        await self.until(self._answers, "the status is served")

    async def _answers(self) -> bool:
        if self.process.returncode is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log()}")
        return self._status_file.exists() and bool((await self.status())["objects"])

    async def stop(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit status."""
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            return await asyncio.wait_for(self.process.wait(), 20)
        except TimeoutError:
            self.process.kill()
            raise AssertionError(f"it did not end:\n{self.log()}") from None

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace")

    def write(self, name: str, text: str) -> float:
        """Write a file of the folder; the time at which that was done."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return time.monotonic()

    def whereabouts(self) -> dict[str, Any]:
        """The addresses and the process id, as the status file tells them."""
        return dict(json.loads(self._status_file.read_text())["server"])

    async def status(self) -> dict[str, Any]:
        """The report of its status site."""
        host, _, port = self.whereabouts()["status"].rpartition(":")
        reply = await self.client.send(Target((host, int(port))), Request("GET", "/status", host), keep=False)
        if reply.outcome is not Outcome.ANSWERED:
            raise ConnectionError(f"status: {reply.outcome}")
        return dict(json.loads(reply.body))

    async def get(self, host: str, path: str = "/", port: int = 80) -> Reply:
        """Ask a listener, on a connection of its own."""
        target = Target(("127.0.0.1", self.ports[port]))
        return await self.client.send(target, Request("GET", path, host), keep=False)

    async def answers(self, host: str, body: str, since: float | None = None, port: int = 80) -> float:
        """Wait until a host is answered with this body; how long that took, in seconds."""
        begun = time.monotonic() if since is None else since

        async def asked() -> bool:
            return (await self.get(host, port=port)).body == body.encode()

        await self.until(asked, f"{host} answers {body}", LIVE_WITHIN if since is not None else 20.0)
        return time.monotonic() - begun

    async def until(self, fact: Callable[[], Awaitable[Any]], what: str, deadline: float = 20.0) -> Any:
        """Wait for a fact; the error shows the log."""
        try:
            return await wait_for(fact, what, deadline)
        except DeadlineError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error


def gateway(name: str = "edge", port: int = 80, pop: str = "fra1") -> str:
    """A gateway with one listener that every namespace may use."""
    return f"""\
apiVersion: northgate.dev/v1alpha1
kind: EdgeGateway
metadata: {{name: {name}, namespace: edge}}
spec:
  pop: {pop}
  listeners:
  - {{name: http, port: {port}, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}
"""


def route(name: str, body: str, gateway: str = "edge") -> str:
    """A Route for `<name>.test` that answers with this body."""
    return f"""\
apiVersion: northgate.dev/v1alpha1
kind: Route
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: {gateway}, namespace: edge}}]
  hostnames: [{name}.test]
  rules:
  - respond: {{status: 200, body: "{body}"}}
"""


def echo(port: int) -> str:
    """A Route for `echo.test` to an upstream on this machine."""
    return f"""\
apiVersion: northgate.dev/v1alpha1
kind: Upstream
metadata: {{name: echo, namespace: shop}}
spec:
  static: [{{address: 127.0.0.1, port: {port}}}]
---
apiVersion: northgate.dev/v1alpha1
kind: Route
metadata: {{name: echo, namespace: shop}}
spec:
  parentRefs: [{{name: edge, namespace: edge}}]
  hostnames: [echo.test]
  rules:
  - backendRefs: [{{kind: Upstream, name: echo}}]
"""


def alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
