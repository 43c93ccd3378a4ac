"""What if the handlers end, fail or hang? They live in a thread and loop of their own, and new ones take over.

A thread cannot be killed: one that hangs is left alone, what it may say later is not heard, and it ends when it wakes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from northgate.kube.pace import Pace
from northgate.kube.reading import sleep_or

News = TypeVar("News")

_GOODBYE = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: the loop is asked every `beat` whether it turns, and given up after `hung` without an answer.

    Told to stop, it gets `leave`. Who ran for `calm` is restarted without a long rest.
    """

    beat: float = 1.0
    hung: float = 10.0
    leave: float = 10.0
    calm: float = 60.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often new handlers had to take over, and why the last time."""

    count: int = 0
    why: str = ""
    running: bool = False


@dataclass(frozen=True, slots=True)
class Inside(Generic[News]):
    """What work in the thread may use: `stop` is set when it shall end, `hand` gives news to the supervisor's loop."""

    stop: asyncio.Event
    hand: Callable[[News], None]


Work = Callable[[Inside[News]], Coroutine[Any, Any, None]]


class Supervised(Generic[News]):
    """Work in a thread of its own. `run` keeps it up until it is cancelled.

    `take` gets news in the loop of `run`, `turned` is called there when work began and when it ended.
    """

    def __init__(
        self,
        work: Work[News],
        take: Callable[[News], None],
        turned: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._work = work
        self._take = take
        self._turned = turned
        self._pace = pace or Pace()
        self._patience = patience or Patience()
        self._anew = asyncio.Event()
        self._why = ""
        self.restarts = Restarts()

    def restart(self, why: str) -> None:
        """Let new work take over."""
        self._why = why
        self._anew.set()

    async def run(self) -> None:
        """Keep work going until cancelled; then it is told to stop and waited for."""
        failures = 0
        while True:
            begun = time.monotonic()
            why = await self._one()
            failures = 1 if time.monotonic() - begun >= self._patience.calm else failures + 1
            self.restarts = Restarts(self.restarts.count + 1, why)
            rest = self._pace.rest(failures, random.random())  # noqa: S311 - spreads load
            log.warning("the handlers are started anew in %.1f s: %s", rest, why)
            self._turned()
            await asyncio.sleep(rest)

    async def _one(self) -> str:
        """Work until it ends, fails, hangs, or is asked for anew; why it is over."""
        thread = _Thread(self._work, self._take, asyncio.get_running_loop())
        self._anew.clear()
        thread.start()
        self.restarts = Restarts(self.restarts.count, self.restarts.why, running=True)
        self._turned()
        try:
            while not thread.over.is_set():
                thread.ping()
                if await _first(thread.over, self._anew, self._patience.beat):
                    break
                if thread.silent() > self._patience.hung:
                    return f"they hang: no answer for {self._patience.hung:g} s"
            return thread.why or self._why
        finally:
            thread.leave()
            if thread.silent() <= self._patience.hung:
                await sleep_or(thread.over, self._patience.leave)


async def _first(over: asyncio.Event, anew: asyncio.Event, seconds: float) -> bool:
    """Wait so long or until one of both is set; whether one is."""
    waits = [asyncio.ensure_future(over.wait()), asyncio.ensure_future(anew.wait())]
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)


@dataclass
class _Thread(Generic[News]):
    """One thread and its loop; `outside` is the supervisor's. Once told to leave it is not heard any more."""

    work: Work[News]
    take: Callable[[News], None]
    outside: asyncio.AbstractEventLoop
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    _heard: bool = True
    _answered: float = field(default_factory=time.monotonic)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _leaving: bool = False
    _woken: bool = False
    _news: deque[News] = field(default_factory=deque)

    def start(self) -> None:
        # A daemon: a thread that hangs must not keep the process from ending.
        threading.Thread(target=self._main, name="northgate-handlers", daemon=True).start()

    def ping(self) -> None:
        """Ask the loop whether it turns."""
        self._inside(self._outside, self._pong)

    def silent(self) -> float:
        """Seconds since the loop last answered, or since the start."""
        return time.monotonic() - self._answered

    def leave(self) -> None:
        """Tell the work to stop, and hear it no more."""
        self._heard, self._leaving = False, True
        if self._stop is not None:
            self._inside(self._stop.set)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
            why = "they ended"
        except BaseException as error:  # noqa: BLE001 - whatever ends the thread is healed by the supervisor
            why = f"they failed: {type(error).__name__}: {error}"
        self._outside(self._end, why)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._leaving:
            return
        try:
            await self.work(Inside(self._stop, self._hand))
        finally:
            # Encrypted connections that were closed take some turns of the loop to be gone.
            await asyncio.sleep(_GOODBYE)

    def _hand(self, news: News) -> None:
        """In the thread: many news wake the other loop once. The news is there before the flag is looked at."""
        self._news.append(news)
        if not self._woken:
            self._woken = True
            self._outside(self._drain)

    def _drain(self) -> None:
        self._woken = False
        while self._news:
            news = self._news.popleft()
            if self._heard:
                self.take(news)

    def _pong(self) -> None:
        self._answered = time.monotonic()

    def _end(self, why: str) -> None:
        self.why = why
        self.over.set()

    def _inside(self, call: Callable[..., object], *arguments: Any) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the end is on its way
                self._loop.call_soon_threadsafe(call, *arguments)

    def _outside(self, call: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):
            self.outside.call_soon_threadsafe(call, *arguments)
