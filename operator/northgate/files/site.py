"""Where is the status of a standalone control plane read? Over HTTP on loopback, and in a file when asked."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

Report = Mapping[str, Any]
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class StatusSite:
    """A small read-only HTTP site.

    `GET /status` is the report as JSON; `/healthz` answers when the loop turns; `/readyz` 200 once configuration is
    served and 503 before; `/metrics` is for Prometheus.
    """

    def __init__(self, report: Callable[[], Report], ready: Callable[[], bool], metrics: Callable[[], bytes]) -> None:
        self._report = report
        self._ready = ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which the system chooses when 0 is given. OSError when the address is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/status", self._get_status),
                web.get("/healthz", self._get_health),
                web.get("/readyz", self._get_ready),
                web.get("/metrics", self._get_metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_status(self, _request: web.Request) -> web.Response:
        return web.json_response(self._report())

    async def _get_health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"content-type": _METRICS})

    async def _get_ready(self, _request: web.Request) -> web.Response:
        ready = self._ready()
        return web.Response(
            status=200 if ready else 503, text="ready\n" if ready else "nothing complete was read yet\n"
        )


def write_report(path: Path, report: Report) -> None:
    """Write the report to a file that is never seen half-written."""
    text = json.dumps(report, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)
