"""What do tests of writing share? Clocks they set, an API that is a few lines of Python, and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from northgate.kube.access import find_access
from northgate.kube.calls import Answer, Calls
from northgate.kube.clocks import Clocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Hand:
    """Clocks that stand still until they are moved. `wrong` is how far the wall clock is off, in seconds."""

    now: float = 1000.0
    wrong: float = 0.0

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: NOON + timedelta(seconds=self.now + self.wrong), lambda: 0.5)


@dataclass
class OneLease:
    """An API server with a single Lease. `silent`: calls have their effect, if `deaf` is not set, but no answer."""

    lease: dict[str, Any] | None = None
    version: int = 1
    silent: bool = False
    deaf: bool = False
    asked: list[str] = field(default_factory=list)

    async def request(self, method: str, path: str, body: Any = None, content: str = "") -> Answer:
        self.asked.append(method)
        if self.deaf:
            return Answer(0)
        answer = self._answer(method, body)
        return Answer(0) if self.silent else answer

    def _answer(self, method: str, body: Any) -> Answer:
        if method == "GET":
            return Answer(404) if self.lease is None else Answer(200, self.lease)
        known = self.lease["metadata"]["resourceVersion"] if self.lease is not None else None
        if body["metadata"].get("resourceVersion") != known:
            return Answer(409)
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return Answer(201 if method == "POST" else 200, self.lease)


@asynccontextmanager
async def running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These run meanwhile. One that ends with an error is reported afterwards."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def calls(kubeconfig: Path) -> AsyncIterator[Calls]:
    """Calls to a real API server."""
    async with find_access(kubeconfig).session() as session:
        yield Calls(session, 3.0)


@dataclass
class Held:
    """An API between whose question and effect time passes: a process that is frozen while it asks."""

    inner: Any
    frozen: Callable[[str], asyncio.Event | None]

    async def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Answer:
        gate = self.frozen(method)
        if gate is not None:
            await gate.wait()
        answer: Answer = await self.inner.request(method, path, body, content)
        return answer
