"""What does a running Envoy say of itself? Its admin interface, asked over the unix socket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from northgate.translate.statistics import STATS_LISTENER

_HTTP_OK = 200
_CONNECTIONS = re.compile(rf"listener\.(?!admin\.|{STATS_LISTENER}\.).*\.downstream_cx_active")
_WORKER = re.compile(r"\.worker_\d+\.")


class AdminError(Exception):
    """Envoy's admin interface is unreachable, silent, or refused the request; the text says which."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin interface behind the unix socket `path`. Each request has `patience` seconds, else AdminError."""

    path: Path
    patience: float = 2.0

    async def get(self, target: str) -> str:
        """The body of the answer to GET; AdminError unless it is 200."""
        return await self._ask("GET", target)

    async def post(self, target: str) -> str:
        """The body of the answer to POST, which all that changes something requires; AdminError unless it is 200."""
        return await self._ask("POST", target)

    async def ready(self) -> bool:
        """Whether Envoy is LIVE: it has its first configuration and is not draining."""
        try:
            return (await self.get("/ready")).strip() == "LIVE"
        except AdminError:
            return False

    async def stats(self, pattern: str = "") -> Mapping[str, int]:
        """Counters and gauges whose names contain the regular expression `pattern`."""
        entries = json.loads(await self.get(f"/stats?format=json&filter={pattern}"))["stats"]
        return {entry["name"]: entry["value"] for entry in entries if "name" in entry}

    async def connections(self) -> int:
        """Downstream connections that are open now, over all listeners but those of the admin and the statistics."""
        found = await self.stats("downstream_cx_active$")
        return sum(count for name, count in found.items() if _CONNECTIONS.fullmatch(name) and not _WORKER.search(name))

    async def _ask(self, method: str, target: str) -> str:
        timeout = aiohttp.ClientTimeout(total=self.patience)
        connector = aiohttp.UnixConnector(str(self.path), force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(method, f"http://admin{target}") as answer,
            ):
                text = await answer.text()
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise AdminError(f"{method} {target}: {str(error) or 'no answer in time'}") from error
        if answer.status != _HTTP_OK:
            raise AdminError(f"{method} {target}: {answer.status} {text.strip()}")
        return text
