"""Does a proxy serve? What its Envoy tells of itself, judged, and every port it serves tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from northgate.files.admin import Admin, AdminError

_CONNECT_SECONDS = 1.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound
# Only what is judged below: a listener with its certificates and filters is long.
_DUMP = "/config_dump?resource=dynamic_listeners&mask=name,active_state.listener"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listeners:
    """The listeners the control plane gave: where the active ones are, and which never became active, sorted."""

    active: tuple[Address, ...]
    pending: tuple[str, ...]


def listeners(dump: Mapping[str, Any]) -> Listeners:
    """Read them from the answer to `_DUMP`."""
    found = list(dump.get("configs", ()))
    active = [_address(one["active_state"]) for one in found if _is_active(one)]
    return Listeners(tuple(sorted(active)), tuple(sorted(one.get("name", "") for one in found if not _is_active(one))))


def _is_active(listener: Mapping[str, Any]) -> bool:
    return "listener" in listener.get("active_state", {})


def _address(state: Mapping[str, Any]) -> Address:
    socket = state["listener"]["address"]["socket_address"]
    return _EVERYWHERE.get(socket["address"], socket["address"]), int(socket["port_value"])


@dataclass(slots=True)
class Readiness:
    """The readiness of one Envoy process.

    A new Envoy is ready once it is LIVE and every listener it was given is active and accepts connections. One that was
    ready stays so whatever it is given and refuses afterwards: what it serves is what counts then.
    """

    admin: Admin
    was_ready: bool = False

    async def fault(self) -> str:
        """Why the proxy is not ready, empty when it is."""
        try:
            if not await self.admin.ready():
                return "Envoy is not LIVE: it starts, waits for its configuration, or leaves"
            given = listeners(json.loads(await self.admin.get(_DUMP)))
        except AdminError as error:
            return str(error)
        if given.pending and not self.was_ready:
            return f"listeners not active yet: {', '.join(given.pending)}"
        if not given.active:
            return "no listener is active"
        closed = await _closed(given.active)
        if closed:
            return f"ports that accept no connection: {', '.join(map(str, closed))}"
        self.was_ready = True
        return ""


async def _closed(addresses: Iterable[Address]) -> tuple[int, ...]:
    wanted = tuple(addresses)
    accepts = await asyncio.gather(*(_accepts(*one) for one in wanted))
    return tuple(port for (_, port), accepted in zip(wanted, accepts, strict=True) if not accepted)


async def _accepts(host: str, port: int) -> bool:
    with suppress(OSError):  # a TimeoutError is one
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False
