"""What do tests of reading a cluster share? A small API server that can misbehave, and a reader that keeps what it got.

The API server serves lists in pages and watches from a log, under any path; it knows no schema and no rights.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web
from tests.harness.facts import wait_for

from northgate.kube.access import Access
from northgate.kube.inbox import ClusterChange
from northgate.kube.kinds import Scope
from northgate.kube.mirror import Reading
from northgate.kube.pace import Pace
from northgate.kube.source import ClusterSource, Manner
from northgate.kube.thread import Patience
from northgate.world.key import ObjectKey

QUICK = Pace(page=3, audit=30, settle=0.05, answer=2, watch=30, silence=20, first=0.02, longest=0.2, asked=5)
"""No audit comes within a test unless it is asked for."""
AUDITING = replace(QUICK, audit=0.2)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered instead: a Status, or `text` as it is."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def response(self) -> web.Response:
        body = self.text or json.dumps({"kind": "Status", "code": self.status, "message": f"refused {self.status}"})
        return web.Response(status=self.status, text=body, headers=dict(self.headers))


@dataclass
class StubApi:
    """Objects by plural and (namespace, name). Every change is logged for watches."""

    version: int = 100
    objects: dict[str, dict[tuple[str, str], Document]] = field(default_factory=lambda: defaultdict(dict))
    log: list[tuple[str, int, str, Document]] = field(default_factory=list)
    compacted: int = 0
    refusals: dict[str, Refusal] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    injected: list[bytes] = field(default_factory=list)
    """Bytes the next watches say first, one each, instead of what happened."""
    deaf: bool = False
    """Watches say nothing at all."""
    lists: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    gets: list[str] = field(default_factory=list)
    watched: list[tuple[str, int]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    expire_pages: bool = False
    url: str = ""
    _bell: asyncio.Condition = field(default_factory=asyncio.Condition)
    _cuts: int = 0

    def put(self, plural: str, namespace: str, name: str, **content: Any) -> Document:
        known = (namespace, name) in self.objects[plural]
        self.version += 1
        metadata = {
            "name": name,
            "resourceVersion": str(self.version),
            **({"namespace": namespace} if namespace else {}),
        }
        document = {"metadata": metadata, **content}
        self.objects[plural][namespace, name] = document
        self.log.append((plural, self.version, "MODIFIED" if known else "ADDED", document))
        return document

    def delete(self, plural: str, namespace: str, name: str) -> None:
        self.version += 1
        found = self.objects[plural].pop((namespace, name))
        found = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self.version)}}
        self.log.append((plural, self.version, "DELETED", found))

    def bookmark(self, plural: str) -> None:
        self.version += 1
        self.log.append((plural, self.version, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))

    def compact(self) -> None:
        """Forget the past: a watch from before now is answered with 410."""
        self.compacted = self.version

    async def ring(self) -> None:
        """Let watches say what happened."""
        async with self._bell:
            self._bell.notify_all()

    async def cut(self) -> None:
        """End all watches."""
        self._cuts += 1
        await self.ring()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        self.asked.append(asyncio.get_running_loop().time())
        if refusal := self.refusals.get(plural):
            return refusal.response()
        if "/".join(parts[:-1]) in self.missing or plural in self.missing:
            return web.Response(status=404, text="404 page not found\n")
        if name:
            return self._one(plural, namespace, name)
        return await self._watch(request, plural) if "watch" in request.query else self._list(request, plural)

    def _one(self, plural: str, namespace: str, name: str) -> web.Response:
        self.gets.append(f"{namespace}/{name}")
        if found := self.objects[plural].get((namespace, name)):
            return web.json_response(found)
        status = {"kind": "Status", "code": 404, "reason": "NotFound", "details": {"name": name}, "message": "no such"}
        return web.json_response(status, status=404)

    def _list(self, request: web.Request, plural: str) -> web.Response:
        self.lists[plural] += 1
        size = int(request.query.get("limit", "0")) or 10**9
        begin = int(request.query.get("continue", "0"))
        if begin and self.expire_pages:
            return Refusal(410).response()
        items = list(self.objects[plural].values())
        more = {"continue": str(begin + size)} if begin + size < len(items) else {}
        meta = {"resourceVersion": str(self.version), **more}
        return web.json_response({"kind": "AnyList", "metadata": meta, "items": items[begin : begin + size] or None})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        version, cuts = int(request.query["resourceVersion"]), self._cuts
        self.watched.append((plural, version))
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            if self.injected:
                await answer.write(self.injected.pop(0))
            elif version < self.compacted:
                status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                await answer.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            else:
                await self._stream(answer, plural, version, cuts)
        return answer

    async def _stream(self, answer: web.StreamResponse, plural: str, version: int, cuts: int) -> None:
        while cuts == self._cuts:
            news = [] if self.deaf else [one for one in self.log if one[0] == plural and one[1] > version]
            if news:
                lines = (json.dumps({"type": kind, "object": found}) for _, _, kind, found in news)
                await answer.write("".join(f"{line}\n" for line in lines).encode())
                version = news[-1][1]
            async with self._bell:
                if cuts == self._cuts:
                    await self._bell.wait()


@asynccontextmanager
async def stub_api() -> AsyncIterator[StubApi]:
    """A stub on a free port."""
    api = StubApi()
    application = web.Application()
    application.router.add_get("/{path:.*}", api.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


class Following:
    """A source that is followed: what the cluster holds as far as it told, and every change."""

    def __init__(self, source: ClusterSource) -> None:
        self.source = source
        self.world: dict[ObjectKey, Mapping[str, Any]] = {}
        self.changes: list[ClusterChange] = []

    @property
    def complete(self) -> bool:
        return bool(self.changes) and self.changes[-1].complete

    def names(self, kind: str) -> set[str]:
        return {key.name for key in self.world if key.kind == kind}

    def reading(self, kind: str, place: str = "") -> Reading:
        return next(one for one in self.source.readings() if (one.kind, one.place) == (kind, place))

    async def until(self, fact: Callable[[], object], what: str, deadline: float = 10.0) -> None:
        async def holds() -> object:
            return fact()

        await wait_for(holds, what, deadline)

    async def run(self) -> None:
        async for change in self.source.changes():
            self.changes.append(change)
            self.world.update(change.put)
            for key in change.removed:
                del self.world[key]


@asynccontextmanager
async def following(source: ClusterSource) -> AsyncIterator[Following]:
    """Follow a source in the background; an error of it fails the test."""
    found = Following(source)
    task = asyncio.create_task(found.run())
    try:
        yield found
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert source.failures == 0


def source(
    access: Access,
    scope: Scope | None = None,
    *,
    pace: Pace = QUICK,
    wanted: Callable[[ObjectKey], bool] = lambda _: True,
    patience: Patience | None = None,
) -> ClusterSource:
    """A source of all kinds at a test's pace."""
    manner = Manner(pace, patience or Patience())
    return ClusterSource(access, scope or Scope(None, None), wanted, manner)
