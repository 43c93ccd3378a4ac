"""What runs? One control plane: objects in, proxies' resources out over xDS, statuses beside. Lives in one loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from typing import Any

import grpc

from northgate.deliver.events import Event
from northgate.deliver.ledger import ProxyReport, State
from northgate.deliver.statuses import Document, Statuses
from northgate.deliver.verdict import Fleet, Proxy
from northgate.garbage import loading, look_seldom
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import Delta
from northgate.translate import names
from northgate.translate.listeners import Binding
from northgate.world.key import ObjectKey
from northgate.world.store import Name
from northgate.xds.server import Options, XdsServer

_LOOK_AGAIN = 0.05
"""Seconds between two looks at the ledger while waiting: the end of a round of pushes rings no bell."""

log = logging.getLogger(__name__)


class ControlPlane:
    """Owns the core and the xDS server. Every method is called from the loop that runs it."""

    def __init__(self, binding: Binding | None = None, options: Options | None = None) -> None:
        """`options` are the xDS server's."""
        self.edge = Edge(binding)
        self.server = XdsServer(options=options, observe=self._observe)
        self.moved = 0
        """Grows with every change that was taken in and every word from a proxy."""
        self.observers: list[Callable[[Event], None]] = []
        """Called with every event of every stream, for metrics; must not raise."""
        self.server.set_serving(False)
        self._heard = asyncio.Event()
        self.revisions: dict[Name, int] = {}
        self._statuses = Statuses(self.edge.compiler)
        self._reported: set[tuple[str, Any]] = set()
        self._complete = False

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        """Serve xDS on `host:port` or `unix:path`, with TLS when given; returns the address that is listened on."""
        look_seldom()
        return await self.server.start(address, credentials)

    async def stop(self, grace: float = 1.0) -> None:
        """End all streams and stop serving."""
        await self.server.stop(grace)

    def take(
        self,
        put: Iterable[tuple[ObjectKey, Mapping[str, Any]]],
        removed: Iterable[ObjectKey] = (),
        *,
        complete: bool = True,
    ) -> None:
        """Take in new versions and removals and push what changes. Nothing is served before a first complete read."""
        self.moved += 1
        with nullcontext() if self._complete else loading():
            deltas = self.edge.apply(put, removed)
        for gateway in self._gateways() - deltas.keys() - self.revisions.keys():
            deltas[gateway] = Delta()
        for gateway, delta in deltas.items():
            self.revisions[gateway] = self.server.publish(names.group(gateway), delta)
        self._report_bugs()
        if complete:
            self._complete = True
            self.server.set_serving(True)

    def gateways(self) -> tuple[Name, ...]:
        """The gateways there are, sorted."""
        return tuple(sorted(self._gateways()))

    def proxies(self, gateway: Name) -> tuple[ProxyReport, ...]:
        """What each proxy of a gateway holds."""
        return self.server.ledger.proxies(names.group(gateway), time.time())

    def statuses(self) -> Mapping[ObjectKey, Document]:
        """The status of every object, as of now."""
        now = time.time()
        self.server.ledger.expire(now)
        fleets = {gateway: _fleet(self.proxies(gateway)) for gateway in self._gateways()}
        self._statuses.refresh(fleets, self.revisions, now)
        return self._statuses.documents()

    async def synced(self, gateway: Name, proxies: int = 1) -> None:
        """Wait until so many proxies of a gateway confirmed everything that is published to it."""
        while sum(self._in_sync(gateway, report) for report in self.proxies(gateway)) < proxies:
            self._heard.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), _LOOK_AGAIN)

    def _observe(self, _stream: int, event: Event) -> None:
        self.moved += 1
        self._heard.set()
        for observer in self.observers:
            observer(event)

    def _in_sync(self, gateway: Name, report: ProxyReport) -> bool:
        return report.connected and report.synced_revision >= self.revisions.get(gateway, 1)

    def _gateways(self) -> set[Name]:
        return {name for name, _ in self.edge.compiler.gateways.items()}

    def _report_bugs(self) -> None:
        failures = self.edge.engine.failures
        for place in failures.keys() - self._reported:
            log.error("%s of %s failed; its last result stays in force", *place, exc_info=failures[place])
        self._reported = set(failures)


def _fleet(reports: Iterable[ProxyReport]) -> Fleet:
    return Fleet(tuple(_proxy(report) for report in reports))


def _proxy(report: ProxyReport) -> Proxy:
    refuses = any(one.state is State.REJECTED for one in report.types.values())
    refusal = report.last_rejection.message if refuses and report.last_rejection is not None else ""
    return Proxy(report.proxy, report.connected, report.synced_revision, refusal)
