"""How does an edge run in a cluster? The xDS server is the root; all that needs the cluster may fail beside it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from northgate.control import ControlPlane
from northgate.files.site import StatusSite
from northgate.kube.access import find_access
from northgate.kube.apply import Applier, ApplyError
from northgate.kube.calls import Calls
from northgate.kube.clocks import machine
from northgate.kube.events import Recorder
from northgate.kube.inbox import ClusterChange
from northgate.kube.keeper import Keeper, KeepError, Kept
from northgate.kube.kinds import Scope
from northgate.kube.lease import Claim, Elector, Terms
from northgate.kube.rivals import status_manager
from northgate.kube.source import ClusterSource
from northgate.kube.status import Office, StatusWriter
from northgate.kube.workloads.children import children
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.ops.metrics import PlaneMetrics
from northgate.ops.report import Report, report
from northgate.resolve.references import referred
from northgate.translate.bootstrap import TcpAddress
from northgate.translate.listeners import Binding
from northgate.translate.ports import cluster_binding
from northgate.world.key import ObjectKey
from northgate.world.store import Name
from northgate.xds.credentials import Identity, ServerIdentity, only_own_gateway
from northgate.xds.server import Options

log = logging.getLogger(__name__)

_REPAIR_EVERY = 30.0
_STATUS_EVERY = 0.5
_ROUNDS_AT_REST = 10
_CERTIFICATES_EVERY = 60.0
_REST = 2.0
_SERVICE_PORT = 18000


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator runs.

    `name` is that of the Service of the xDS port, of the Lease and of the Secrets; all are in `namespace`. `image` is
    that of proxies which name none. `xds` and `site` are `host:port` to listen on, port 0 for a free one; `advertised`
    is where proxies find the xDS port, the Service when absent. For `reconnect` seconds after a start no status is
    written: proxies that go on serving come back within that time, and must not be told as missing.
    """

    namespace: str
    image: str
    name: str = "northgate"
    kubeconfig: Path | None = None
    context: str = ""
    scope: Scope = field(default_factory=Scope)
    xds: str = "0.0.0.0:18000"
    advertised: TcpAddress | None = None
    site: str = "0.0.0.0:18080"
    reconnect: float = 10.0
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}-{time.time_ns()}")
    terms: Terms = field(default_factory=Terms)


class Operator:
    """An operator. `run` serves until it is cancelled; `started` is set once xDS is served."""

    def __init__(self, settings: Settings, binding: Binding | None = None) -> None:
        """`binding` replaces the ports that proxies in pods bind."""
        self.settings = settings
        self.plane = ControlPlane(binding or cluster_binding(), Options(admits=only_own_gateway))
        self.started = asyncio.Event()
        self.xds_address = ""
        self.site_address = ""
        self._identity: ServerIdentity | None = None
        self._kept: Kept | None = None
        self._uids: dict[Name, str] = {}
        self._wanted: frozenset[ObjectKey] = frozenset()
        self._complete = False
        self._edited = asyncio.Event()

    async def run(self) -> None:
        """Serve. Whatever fails about the cluster, xDS goes on. AccessError when there is no cluster to be found."""
        settings, clocks = self.settings, machine()
        access = find_access(settings.kubeconfig, settings.context)
        async with AsyncExitStack() as stack:
            await self._start_site(stack)
            stack.push_async_callback(self.plane.stop)
            session = await stack.enter_async_context(access.session())
            api = Calls(session, settings.terms.timeout)
            elector = Elector(api, Claim(settings.namespace, settings.name, settings.identity), clocks, settings.terms)
            stack.push_async_callback(elector.release)
            recorder = Recorder(api, settings.identity, clocks)
            office = Office(status_manager(settings.namespace, settings.name), elector.holds)
            writer = StatusWriter(api, office, clocks, recorder.wrote)
            source = ClusterSource(access, settings.scope, lambda key: key in self._wanted)
            hosts = (settings.advertised.host,) if settings.advertised is not None else ()
            keeper = Keeper(api, clocks, (settings.namespace, settings.name), hosts)
            applier = Applier(session, elector.holds)
            async with asyncio.TaskGroup() as tasks:
                for name, work in (
                    ("the election", elector.run),
                    ("reading the cluster", lambda: self._follow(source, writer)),
                    ("keeping certificates", lambda: self._keep(keeper, elector)),
                    ("running proxies", lambda: self._run_proxies(keeper, applier, elector)),
                    ("gathering statuses", lambda: self._tell(writer)),
                    ("writing statuses", writer.run),
                    ("writing events", recorder.run),
                ):
                    tasks.create_task(_kept_up(name, work))

    async def _start_site(self, stack: AsyncExitStack) -> None:
        site = StatusSite(self.report, lambda: self._complete and self.started.is_set(), PlaneMetrics(self.plane).text)
        host, _, port = self.settings.site.rpartition(":")
        stack.push_async_callback(site.stop)
        self.site_address = f"{host}:{await site.start(host, int(port))}"

    def report(self) -> Report:
        """What `northgate status` shows."""
        return report(self.plane, ())

    async def _follow(self, source: ClusterSource, writer: StatusWriter) -> None:
        async for change in source.changes():
            self._take(change)
            # What is read is kept without status and version, so the writer looks for itself before it writes.
            for key in change.removed:
                writer.observe(key, None)

    def _take(self, change: ClusterChange) -> None:
        self.plane.take(change.put, change.removed, complete=change.complete)
        self._complete = self._complete or change.complete
        for key, document in change.put:
            if key.kind == "EdgeGateway":
                self._uids[key.namespace, key.name] = str(document["metadata"].get("uid", ""))
        kinds = {key.kind for key, _ in change.put} | {key.kind for key in change.removed}
        if kinds & {"EdgeGateway", "Upstream"}:
            self._wanted = referred(self.plane.edge.world)
            self._edited.set()

    async def _keep(self, keeper: Keeper, elector: Elector) -> None:
        """Serve xDS once there is a certificate, and renew it; without one nothing listens."""
        while True:
            try:
                kept = await keeper.keep() if elector.holds() else await keeper.read()
            except KeepError as error:
                log.warning("%s", error)
                kept = None
            if kept is not None:
                await self._use(kept)
            await asyncio.sleep(_CERTIFICATES_EVERY if self.started.is_set() else _REST / 4)

    async def _use(self, kept: Kept) -> None:
        self._kept = kept
        identity = Identity(kept.leaf.certificate, kept.leaf.key, kept.authorities.trusted)
        if self._identity is not None:
            self._identity.replace(identity)
            return
        self._identity = ServerIdentity(identity)
        self.xds_address = await self.plane.start(self.settings.xds, self._identity.credentials())
        log.info("xDS on %s, by mutual TLS alone", self.xds_address)
        self.started.set()
        self._edited.set()

    async def _run_proxies(self, keeper: Keeper, applier: Applier, elector: Elector) -> None:
        """Bring every gateway's objects to what is wanted, at once after an edit and again every half minute."""
        service = TcpAddress(f"{self.settings.name}.{self.settings.namespace}.svc", _SERVICE_PORT)
        installation = Installation(self.settings.image, self.settings.advertised or service)
        while True:
            self._edited.clear()
            if elector.holds() and self._complete and self._kept is not None:
                for gateway in self._gateways():
                    await self._apply(gateway, installation, keeper, applier)
            try:
                await asyncio.wait_for(self._edited.wait(), _REPAIR_EVERY if elector.holds() else _REST)
            except TimeoutError:
                continue

    async def _apply(self, gateway: Gateway, installation: Installation, keeper: Keeper, applier: Applier) -> None:
        where = f"EdgeGateway {gateway.namespace}/{gateway.name}"
        try:
            wanted = children(gateway, installation)
            if wanted and self._kept is not None:
                wanted = (await keeper.client(gateway, self._kept.authorities), *wanted)
            done = await applier.apply(gateway, wanted)
        except (ApplyError, KeepError) as error:
            log.warning("%s: %s", where, error)
            return
        for refusal in done.refusals:
            log.warning("%s: %s", where, refusal.message)
        for one in (*done.written, *done.removed):
            log.info("%s: %s %s %s", where, "wrote" if one in done.written else "removed", one.kind, one.name)

    def _gateways(self) -> list[Gateway]:
        world = self.plane.edge.world
        return [
            Gateway(*name, self._uids[name], entry.spec)
            for name, entry in sorted(world.gateways.items())
            if entry.spec is not None and self._uids.get(name)
        ]

    async def _tell(self, writer: StatusWriter) -> None:
        await self.started.wait()
        await asyncio.sleep(self.settings.reconnect)
        seen, rounds = -1, 0
        while True:
            # Time alone moves some statuses, so they are looked at now and then though nothing else moved.
            if self._complete and (self.plane.moved != seen or rounds % _ROUNDS_AT_REST == 0):
                seen = self.plane.moved
                writer.put(self.plane.statuses())
            rounds += 1
            await asyncio.sleep(_STATUS_EVERY)


async def _kept_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do a piece of work for ever; an exception is a bug of ours, told and survived, and harms no other piece."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed; it starts again", name)
        await asyncio.sleep(_REST)
