"""How does one proxy run in a pod? Envoy under supervision, probes answered for it, drained when the pod ends.

The probes are answered here and not by a listener of Envoy: that would listen no earlier than Envoy's first
configuration comes, so a proxy that waits for its control plane would be taken for a dead one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from aiohttp import web

from northgate.files.admin import AdminError
from northgate.files.readiness import Readiness
from northgate.files.supervisor import Crashed, EnvoyEvent, EnvoyOptions, EnvoyProcess, Started, Stopped

_UNAVAILABLE = 503

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeAddress:
    """Where the kubelet asks; port 0 for a free one."""

    host: str
    port: int


class Pod:
    """One proxy. `run` keeps it up until it is cancelled, and drains it then.

    `GET /startup`: the supervisor has an Envoy whose main thread answers. `/live`: it still answers, or leaves in good
    order. `/ready`: it serves and does not leave.
    """

    def __init__(self, options: EnvoyOptions, probes: ProbeAddress) -> None:
        self.address: ProbeAddress | None = None
        self.started = asyncio.Event()
        self._envoy = EnvoyProcess(options, lambda line: log.info("envoy: %s", line), self._on_event)
        self._probes = probes
        self._readiness = Readiness(self._envoy.admin)
        self._leaving = False

    async def run(self) -> None:
        """Serve until cancelled. OSError when the address of the probes is taken."""
        async with AsyncExitStack() as stack:
            await self._listen(stack)
            running = asyncio.create_task(self._envoy.run())
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                self._leaving = True
                await self._envoy.stop()
                raise
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    async def _listen(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.add_routes([web.get("/startup", self._live), web.get("/live", self._live), web.get("/ready", self._ready)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._probes.host, self._probes.port).start()
        host, port = runner.addresses[0][:2]
        self.address = ProbeAddress(host, port)
        self.started.set()

    async def _live(self, _request: web.Request) -> web.Response:
        if self._leaving:
            return web.Response(text="leaving\n")
        try:
            # The cheapest question the main thread answers, whatever its state.
            await self._envoy.admin.get("/hot_restart_version")
        except AdminError as error:
            return web.Response(status=_UNAVAILABLE, text=f"{error}\n")
        return web.Response(text="live\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        fault = "leaving" if self._leaving else await self._readiness.fault()
        return web.Response(status=_UNAVAILABLE if fault else 200, text=f"{fault or 'ready'}\n")

    def _on_event(self, event: EnvoyEvent) -> None:
        match event:
            case Started():
                self._readiness = Readiness(self._envoy.admin)
                log.info("envoy runs as process %d", event.pid)
            case Crashed():
                again = f"the next one starts in {event.rest:.1f} s"
                log.error("envoy (process %d) ended with status %d; %s", event.pid, event.status, again)
            case Stopped():
                log.info("envoy drained, %s connections were open", event.open_connections)
            case _:
                assert_never(event)


def named(bootstrap: str, node: str) -> str:
    """A bootstrap, JSON text, for the proxy called `node`. ValueError when it is no bootstrap."""
    values = json.loads(bootstrap)
    if not isinstance(values, dict) or not isinstance(values.get("node"), dict):
        raise ValueError("it is no bootstrap: it has no node")  # noqa: TRY004 - what a file holds is a value
    values["node"]["id"] = node
    return json.dumps(values)


def read_bootstrap(path: Path, node: str) -> str:
    """The bootstrap in a file, for the proxy called `node`. OSError or ValueError, with the path, when it has none."""
    try:
        return named(path.read_text(encoding="utf-8"), node)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
