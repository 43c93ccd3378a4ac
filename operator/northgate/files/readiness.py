"""Does a proxy serve? What its Envoy tells of itself, judged, and every port it serves tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from northgate.files.admin import Admin, AdminError
from northgate.translate.statistics import STATS_LISTENER

_CONNECT_SECONDS = 1.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound
_LISTENERS = "/config_dump?resource=dynamic_listeners&mask=name,active_state.version_info"
_SECRETS = "/config_dump?resource=dynamic_warming_secrets&mask=name"
_UPDATES = "^listener_manager.lds.update_(rejected|success)$"

Address = tuple[str, int]


@dataclass(slots=True)
class Readiness:
    """The readiness of one Envoy process.

    A new Envoy is ready once it is LIVE, holds all that it was given, and accepts connections wherever it listens. One
    that was ready stays so whatever it is given and refuses afterwards: what it serves is what counts then.
    """

    admin: Admin
    was_ready: bool = False
    _rejected: int = 0
    _successes: int = 0

    async def fault(self) -> str:
        """Why the proxy is not ready, empty when it is."""
        try:
            fault = await self._fault()
        except AdminError as error:
            return str(error)
        self.was_ready = self.was_ready or not fault
        return fault

    async def _fault(self) -> str:
        if not await self.admin.ready():
            return "Envoy is not LIVE: it starts, waits for its configuration, or leaves"
        if not self.was_ready and (missing := await self._missing()):
            return missing
        active = addresses(json.loads(await self.admin.get("/listeners?format=json")))
        if not active:
            return "no listener is active"
        closed = await _closed(active)
        return f"ports that accept no connection: {', '.join(map(str, closed))}" if closed else ""

    async def _missing(self) -> str:
        """What a new Envoy was given and does not hold."""
        waiting = [one["name"] for one in await self._dump(_LISTENERS) if not one.get("active_state")]
        secrets = [one["name"] for one in await self._dump(_SECRETS)]
        if waiting or secrets:
            return f"not complete yet: {', '.join(sorted((*waiting, *secrets)))}"
        counts = await self.admin.stats(_UPDATES)
        rejected, successes = (counts.get(f"listener_manager.lds.update_{kind}", 0) for kind in ("rejected", "success"))
        return "listeners were refused" if self._is_refusing(rejected, successes) else ""

    def _is_refusing(self, rejected: int, successes: int) -> bool:
        """Whether Envoy refused listeners, a port in use for one, and took no others since then.

        It keeps no account of a listener it could not bind but this.
        """
        if rejected > self._rejected:
            self._rejected, self._successes = rejected, successes
        return rejected > 0 and successes == self._successes

    async def _dump(self, target: str) -> list[Mapping[str, Any]]:
        return list(json.loads(await self.admin.get(target)).get("configs", ()))


def addresses(listed: Mapping[str, Any]) -> tuple[Address, ...]:
    """Where the listeners that clients use can be reached from here, sorted: read from `/listeners?format=json`."""
    clients = (one for one in listed.get("listener_statuses", ()) if one["name"] != STATS_LISTENER)
    sockets = [one["local_address"]["socket_address"] for one in clients]
    return tuple(sorted((_EVERYWHERE.get(one["address"], one["address"]), int(one["port_value"])) for one in sockets))


async def _closed(wanted: Iterable[Address]) -> tuple[int, ...]:
    tried = tuple(wanted)
    accepts = await asyncio.gather(*(_accepts(*one) for one in tried))
    return tuple(port for (_, port), accepted in zip(tried, accepts, strict=True) if not accepted)


async def _accepts(host: str, port: int) -> bool:
    with suppress(OSError):  # a TimeoutError is one
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False
