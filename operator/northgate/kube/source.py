"""What does the cluster hold, as it changes? Changes of all kinds in one stream, and how the reading of each goes.

The mirrors list everything and watch what is not Northgate's own; the handlers bring what is. Only lists are believed
about absence.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from northgate.kube.access import Access
from northgate.kube.handlers import operate
from northgate.kube.inbox import ClusterChange, Inbox
from northgate.kube.kinds import KINDS, Kind, Scope
from northgate.kube.mirror import Mirror, Reading, Trouble
from northgate.kube.pace import Pace
from northgate.kube.reading import Reader, Reason, Seen, sleep_or
from northgate.kube.shelf import Shelf
from northgate.kube.thread import Inside, Patience, Restarts, Supervised
from northgate.world.key import ObjectKey

_GATHER = 5.0
"""Seconds the first change may wait for a kind that does not answer."""
_AFTERWARDS = (1.0, 2.0, 4.0, 8.0, 0.0)
"""Seconds from look to look for what was missed when handlers began or ended."""
_TOGETHER = 1.0
"""Seconds from the first kind that appears until new handlers look for it and others."""
_DEAF = 2
"""Audits in a row that find handlers wrong before new ones take over."""
_UNEVENTFUL = frozenset({"EndpointSlice", "Secret", "ConfigMap"})
"""Kinds whose changes never make another object of interest."""

log = logging.getLogger(__name__)

Event = tuple[Kind, Seen, bool]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a cluster is read. `probe_at`: see `handlers.operate`."""

    pace: Pace = field(default_factory=Pace)
    patience: Patience = field(default_factory=Patience)
    probe_at: str = ""
    kinds: tuple[Kind, ...] = KINDS


class ClusterSource:
    """The objects of a cluster. One iteration of `changes` at a time, in one loop.

    `wanted` says whether a Secret or ConfigMap is referred to; it is asked again after every change was taken in, which
    is when the next one is asked for.
    """

    def __init__(
        self,
        access: Access,
        scope: Scope,
        wanted: Callable[[ObjectKey], bool] = lambda _: True,
        manner: Manner | None = None,
    ) -> None:
        self._access = access
        self._scope = scope
        self._wanted = wanted
        self._manner = manner or Manner()
        self._inbox = Inbox()
        self._bell = asyncio.Event()
        self._begun = asyncio.Event()
        self._revival: asyncio.TimerHandle | None = None
        self._turning = asyncio.Event()
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._missing: set[tuple[str, str]] = set()
        self._complete = False
        self._told: Mapping[tuple[str, str], Trouble | None] = {}
        self.failures = 0
        """How often our own code failed in reading; it goes on each time."""
        self.handlers: Supervised[Event] = Supervised(
            self._operate, self._event, self._turned, self._manner.pace, self._manner.patience
        )

    @property
    def complete(self) -> bool:
        """Whether every required kind was listed."""
        return self._complete

    def readings(self) -> tuple[Reading, ...]:
        """How the reading of each kind goes, for metrics and status."""
        return tuple(mirror.state() for mirror in self._mirrors.values())

    def restarts(self) -> Restarts:
        """How it goes with the handlers."""
        return self.handlers.restarts

    async def changes(self) -> AsyncGenerator[ClusterChange]:
        """All objects, then every change, until the caller closes the iterator. Never ends by itself.

        AccessError at once when the credentials cannot be used.
        """
        async with self._access.session() as session:
            for kind in self._manner.kinds:
                for place in self._scope.places(kind):
                    self._mirrors[kind.name, place] = self._mirror(Reader(session, kind, place, self._manner.pace))
            tasks = [asyncio.create_task(self._kept_up(mirror)) for mirror in self._mirrors.values()]
            tasks.extend(asyncio.create_task(work) for work in (self._run_handlers(), self._look_around()))
            try:
                await self._until(self._settled, _GATHER)
                yield self._give()
                self._admit_selective()
                await self._until(self._whole, _GATHER)
                while True:
                    await self._due()
                    change = self._give()
                    yield change
                    self._taken(change)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _mirror(self, reader: Reader) -> Mirror:
        shelf = Shelf(reader.kind, self._news, self._wanted)
        mirror = Mirror(reader, shelf, self._manner.pace, self._turned_over)
        if not reader.kind.selective:
            mirror.admitted.set()
        return mirror

    async def _kept_up(self, mirror: Mirror) -> None:
        """Follow a kind whatever happens; an exception is a bug of ours, told and survived."""
        failures = 0
        while True:
            try:
                await mirror.run()
            except Exception:
                failures += 1
                self.failures += 1
                log.exception("reading %s failed; what is known of it stays in force", mirror.kind.plural)
            await asyncio.sleep(self._manner.pace.rest(failures, random.random()))  # noqa: S311 - spreads load

    async def _run_handlers(self) -> None:
        """Handlers begin when lists are there: they would fail without an API server, and say nothing new before."""
        await sleep_or(self._begun, _GATHER)
        await self.handlers.run()

    async def _operate(self, inside: Inside[Event]) -> None:
        hand = inside.hand
        await operate(
            self._access,
            self._scope,
            lambda kind, seen, gone: hand((kind, seen, gone)),
            inside.stop,
            probe_at=self._manner.probe_at,
        )

    def _event(self, event: Event) -> None:
        kind, seen, gone = event
        mirror = self._mirrors.get((kind.name, self._scope.place(kind, seen.key.namespace)))
        if mirror is not None:
            mirror.event(seen, gone=gone)

    def _turned(self) -> None:
        """Handlers began or ended."""
        for mirror in self._mirrors.values():
            mirror.missed = 0
        self._turning.set()

    async def _look_around(self) -> None:
        """Look for what happened while no handlers were there: only lists know, and when new ones see is not told."""
        while True:
            await self._turning.wait()
            self._turning.clear()
            for seconds in _AFTERWARDS:
                for mirror in self._mirrors.values():
                    if mirror.kind.own:
                        mirror.look()
                if await sleep_or(self._turning, seconds):
                    self._turning.set()
                    break

    def _news(self, key: ObjectKey, document: Mapping[str, Any] | None) -> None:
        self._inbox.put(key, document, time.monotonic())
        self._bell.set()

    def _turned_over(self) -> None:
        """The state of a mirror may have changed."""
        self._tell()
        self._revive()
        if self._settled(own=True):
            self._begun.set()
        self._bell.set()

    def _tell(self) -> None:
        """Say once per decision in the log what cannot be read, and what can be again."""
        now = {place: mirror.trouble for place, mirror in self._mirrors.items()}
        for (name, place), trouble in now.items():
            before, where = self._told.get((name, place)), f" in {place}" if place else ""
            if trouble is not None and self._mirrors[name, place].settled and trouble.reason is Reason.MISSING:
                continue
            if trouble is not None and (before is None or before.reason is not trouble.reason):
                log.error("%s%s cannot be read (%s): %s", name, where, trouble.reason, trouble.message)
            elif trouble is None and before is not None:
                log.info("%s%s can be read again", name, where)
        self._told = now

    def _revive(self) -> None:
        """Handlers look once which kinds there are: new ones are needed when one appears, or when they miss events."""
        own = {place: mirror for place, mirror in self._mirrors.items() if mirror.kind.own}
        missing = {place for place, one in own.items() if one.trouble and one.trouble.reason is Reason.MISSING}
        appeared = {place for place in self._missing - missing if own[place].trouble is None}
        self._missing = missing | (self._missing - appeared)
        if appeared and self._revival is None:
            # Kinds are installed together: once for all of them.
            self._revival = asyncio.get_running_loop().call_later(_TOGETHER, self._begin_anew)
        if deaf := [mirror for mirror in own.values() if mirror.missed >= _DEAF]:
            self.handlers.restart(f"they miss changes of {', '.join(sorted({one.kind.name for one in deaf}))}")

    def _begin_anew(self) -> None:
        self._revival = None
        self.handlers.restart("a kind can be read that was missing")

    def _settled(self, *, own: bool = False) -> bool:
        """Whether the kinds that refer to others are known, or Northgate's own among them."""
        return all(
            mirror.settled
            for mirror in self._mirrors.values()
            if not mirror.kind.selective and (mirror.kind.own or not own)
        )

    def _whole(self) -> bool:
        """Whether every kind is known, and everything that is of interest was read."""
        mirrors = self._mirrors.values()
        return all(mirror.settled and (mirror.rechecked or not mirror.kind.selective) for mirror in mirrors)

    def _admit_selective(self) -> None:
        """What the caller took in says which objects are of interest."""
        for mirror in self._mirrors.values():
            mirror.admitted.set()

    async def _until(self, fact: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not fact() and (left := end - time.monotonic()) > 0:
            await sleep_or(self._bell, left)

    async def _due(self) -> None:
        while True:
            due, now = self._inbox.due(), time.monotonic()
            if due is None and not self._complete and self._whole():
                self._complete = True
                return
            if due is not None and due <= now:
                return
            await sleep_or(self._bell, 3600 if due is None else due - now)

    def _give(self) -> ClusterChange:
        return self._inbox.give(time.monotonic(), complete=self._complete)

    def _taken(self, change: ClusterChange) -> None:
        """The caller took a change in, so other objects may be of interest now."""
        kinds = {key.kind for key, _ in change.put} | {key.kind for key in change.removed}
        if kinds - _UNEVENTFUL:
            for mirror in self._mirrors.values():
                if mirror.kind.selective:
                    mirror.recheck()
