"""One gRPC stream: reads requests into its session and writes what the session says, one writer, never waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from northgate.deliver.events import Event
from northgate.xds.session import Output, Session


@dataclass(frozen=True, slots=True)
class End:
    """Why a stream ends: a gRPC status and words for the peer."""

    code: grpc.StatusCode
    details: str


FORBIDDEN = End(grpc.StatusCode.PERMISSION_DENIED, "this certificate is not for proxies of that gateway")
SLOW = End(grpc.StatusCode.UNAVAILABLE, "a response was not taken in time")
BROKEN = End(grpc.StatusCode.INTERNAL, "internal error")


class ForbiddenError(Exception):
    """A proxy says it is one that its certificate does not vouch for."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a stream tells its server: events, and exceptions that are our bugs."""

    event: Callable[[Stream, Event], None]
    received: Callable[[Stream], None]
    bug: Callable[[Stream, Exception], None]


class Stream:
    """A session and its RPC. `number` grows with every stream of a server."""

    def __init__(self, number: int, session: Session, hooks: Hooks, write_timeout: float) -> None:
        self.number = number
        self.session = session
        self.took_over = False
        self.drained = asyncio.Event()
        self.drained.set()
        self._hooks = hooks
        self._write_timeout = write_timeout
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[End | None] = self._loop.create_future()
        self._queue: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether the stream ended or is about to."""
        return self._ended.done()

    def end(self, end: End | None = None) -> None:
        """End the stream; None is a normal end."""
        if not self._ended.done():
            self._ended.set_result(end)
            self._filled.set()

    def published(self) -> None:
        """There may be something new for the proxy."""
        self._do(self.session.published)

    def tick(self) -> None:
        """A gate or a grace period ended."""
        self._do(self.session.tick)

    def _do(self, step: Callable[[float], Output]) -> None:
        if self.over:
            return
        try:
            self._apply(step(self._loop.time()))
        except ForbiddenError:
            self.end(FORBIDDEN)
        except Exception as error:  # noqa: BLE001 - a bug ends this stream and no other
            self._hooks.bug(self, error)
            self.end(BROKEN)

    def _apply(self, output: Output) -> None:
        for event in output.events:
            self._hooks.event(self, event)
        if output.responses:
            self._queue.extend(output.responses)
            self.drained.clear()
            self._filled.set()
        if output.refusal is not None:
            self.end(End(grpc.StatusCode.INVALID_ARGUMENT, output.refusal))
        self._set_timer(output.deadline)

    def _set_timer(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None or self.over else self._loop.call_at(deadline, self.tick)

    async def serve(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Serve until the peer leaves, breaks the rules or stops reading, or until `end` is called."""
        # Neither task is cancelled: what is in flight ends with the call, and cancelling it would leak (grpc#43360).
        tasks = (self._loop.create_task(self._read(context)), self._loop.create_task(self._write(context)))
        try:
            end = await asyncio.shield(self._ended)
        finally:
            self.end()
            self._set_timer(None)
        if end is not None:
            await context.abort(end.code, end.details)
        del tasks

    async def _read(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        while not self.over:
            data: Any = await _or_none(context.read())
            if data is None or data is grpc.aio.EOF:
                self.end()
                return
            self._do(lambda now, data=data: self.session.receive(data, now))  # type: ignore[misc] # a bound default
            self._hooks.received(self)

    async def _write(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        while not self.over:
            await self._filled.wait()
            self._filled.clear()
            while self._queue and not self.over:
                await self._write_one(context, self._queue.popleft())
            self.drained.set()

    async def _write_one(self, context: grpc.aio.ServicerContext[bytes, bytes], response: bytes) -> None:
        watchdog = self._loop.call_later(self._write_timeout, self.end, SLOW)
        if await _or_none(_written(context, response)) is None:
            self.end()
        watchdog.cancel()


async def _written(context: grpc.aio.ServicerContext[bytes, bytes], response: bytes) -> bool:
    await context.write(response)
    return True


async def _or_none(operation: Any) -> Any:
    """The result, or None once the call is over: grpc tells that by several internal exceptions."""
    try:
        return await operation
    except Exception:  # noqa: BLE001 - see above; the stream ends in any case
        return None
