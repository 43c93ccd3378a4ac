"""How is a kind followed? Listed, watched, and compared with a new list at least once a minute, whatever happens.

The kinds that handlers bring are not watched here, only listed and compared.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from northgate.kube.kinds import EVERYWHERE, Kind, Served
from northgate.kube.pace import Pace
from northgate.kube.reading import (
    ExpiredError,
    Progress,
    Reader,
    Reason,
    Seen,
    UnreachableError,
    sleep_or,
)
from northgate.kube.shelf import Listing, Shelf

_BREATH = 0.1
"""Seconds between two rounds of reading objects that became of interest."""
_HASTY = 5.0
"""Seconds: a stream or a list that was of use for less is followed by a rest."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a kind cannot be read, and since when (seconds since the epoch)."""

    reason: Reason
    message: str
    since: float


@dataclass(frozen=True, slots=True)
class Reading:
    """How the reading of a kind in a place goes; `place` empty for everywhere. Times are seconds since the epoch.

    `listed`: the last complete list, `heard`: the last event, both None before the first. `settled`: it is known what
    there is, so absence means something. `drift` counts objects on which an audit found watch or handlers wrong.
    """

    kind: str
    place: str
    settled: bool = False
    listed: float | None = None
    heard: float | None = None
    objects: int = 0
    kept: int = 0
    lists: int = 0
    watches: int = 0
    drift: int = 0
    trouble: Trouble | None = None


class Mirror:
    """Follows one kind in one place. `run` never ends by itself, and what is known stays when nothing can be read.

    `changed` is called when `settled` or `trouble` may have changed.
    """

    def __init__(self, reader: Reader, shelf: Shelf, pace: Pace, changed: Callable[[], None]) -> None:
        self.kind: Kind = reader.kind
        self.place = reader.place
        self.shelf = shelf
        self.admitted = asyncio.Event()
        """What `run` waits for before it begins."""
        self.heard: float | None = None
        self.drift = 0
        self.missed = 0
        """How many audits in a row found something that was missed; those that were asked for add none."""
        self._reader = reader
        self._pace = pace
        self._changed = changed
        self._served: Served | None = None
        self._single = not self.kind.namespaced and self.place != EVERYWHERE
        self._look = asyncio.Event()
        self._recheck = asyncio.Event()
        self._rechecking = False
        self._listed: float | None = None
        self._lists = self._watches = 0
        self._troubles: dict[str, Trouble] = {}

    @property
    def settled(self) -> bool:
        """Whether it is known which objects there are."""
        if self._listed is not None:
            return True
        trouble = self._troubles.get("list")
        return self.kind.optional and trouble is not None and trouble.reason is Reason.MISSING

    @property
    def trouble(self) -> Trouble | None:
        """Why it cannot be read, None if it can."""
        return min(self._troubles.values(), key=lambda one: one.since, default=None)

    @property
    def rechecked(self) -> bool:
        """Whether everything that is of interest now was read."""
        return not self._recheck.is_set() and not self._rechecking

    def state(self) -> Reading:
        """How it goes, for metrics and status."""
        counts = (len(self.shelf), self.shelf.kept(), self._lists, self._watches, self.drift)
        return Reading(self.kind.name, self.place, self.settled, self._listed, self.heard, *counts, self.trouble)

    def look(self) -> None:
        """Compare with a new list now."""
        self._look.set()

    def recheck(self) -> None:
        """Ask again which objects are of interest."""
        self._recheck.set()

    def event(self, seen: Seen, *, gone: bool) -> None:
        """Take an event from elsewhere."""
        self.heard = time.time()
        self.shelf.event(seen, gone=gone)

    async def run(self) -> None:
        """Follow until cancelled."""
        await self.admitted.wait()
        failures = hasty = 0
        while True:
            try:
                listing = await self._list()
            except UnreachableError as error:
                failures += 1
                await self._rest(failures, error)
                continue
            failures = 0
            self.shelf.replace(listing)
            self._believe()
            begun = time.monotonic()
            await self._follow(listing.version)
            hasty = hasty + 1 if time.monotonic() - begun < _HASTY else 0
            if hasty:
                await asyncio.sleep(self._pace.rest(hasty, random.random()))  # noqa: S311 - spreads load

    @property
    def _watched(self) -> bool:
        return not self.kind.own and not self._single

    async def _follow(self, version: str) -> None:
        """Stay up to date from a version on, until that takes a new list."""
        parts: list[Coroutine[Any, Any, None]] = [self._audit()]
        if self._watched:
            parts.append(self._watch(version))
        if self.kind.selective:
            self._recheck.set()
            parts.append(self._read_wanted())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _list(self) -> Listing:
        """A new list. Remembers trouble, or that there is none."""
        self.shelf.begin()
        try:
            listing = await (self._list_single() if self._single else self._list_served())
        except UnreachableError as error:
            self._note("list", error)
            raise
        self._clear("list")
        self._lists += 1
        return listing

    async def _list_single(self) -> Listing:
        served = self._served = self.kind.served[0]
        seen = await self._reader.one(served, "", self.place)
        return _listing((seen,) if seen is not None else (), seen.version if seen is not None else "")

    async def _list_served(self) -> Listing:
        """A list under the first version that is served; one whose objects are held is never passed over."""
        refused: UnreachableError | None = None
        for served in self.kind.served:
            try:
                listing = await self._list_version(served)
            except UnreachableError as error:
                if error.reason is not Reason.MISSING:
                    raise
                refused = error
            else:
                self._served = served
                return listing
            if self.shelf.group == served.group and served is self._served:
                break
        assert refused is not None  # noqa: S101 - every kind has a version
        raise refused

    async def _list_version(self, served: Served) -> Listing:
        """All pages; anew without pages when they expire while they are read."""
        try:
            return await self._pages(served, self._pace.page)
        except ExpiredError:
            try:
                return await self._pages(served, 0)
            except ExpiredError as error:
                raise UnreachableError(Reason.SERVER_ERROR, f"lists expire at once: {error}") from None

    async def _pages(self, served: Served, size: int) -> Listing:
        listing = Listing()
        async with aclosing(self._reader.pages(served, size)) as pages:
            async for page in pages:
                listing.version = page.version
                for seen in page.seen:
                    listing.versions[seen.key] = seen.version
                    if self.shelf.version(seen.key) != seen.version:
                        listing.news[seen.key] = seen
        return listing

    async def _audit(self) -> None:
        """Compare with new lists; returns when the watch was wrong."""
        failures, asked = 0, 0.0
        while True:
            asked_for = await sleep_or(self._look, self._until_audit(failures, asked))
            try:
                listing = await self._list()
            except UnreachableError as error:
                failures, asked = failures + 1, error.asked
                continue
            failures = 0
            if self.shelf.differing(listing) and not self._single:
                await asyncio.sleep(self._pace.settle)
            drift = 0 if self._single else len(self.shelf.differing(listing))
            self.drift += drift
            self.missed = self.missed + (not asked_for) if drift else 0
            self.shelf.replace(listing)
            self._believe()
            if drift and self._watched:
                return

    def _until_audit(self, failures: int, asked: float) -> float:
        share = random.random()  # noqa: S311 - spreads load
        usual = self._pace.until_audit(share)
        return min(usual, self._pace.rest(failures, share, asked)) if failures else usual

    async def _watch(self, version: str) -> None:
        """Take changes, stream after stream; returns when a list is needed to go on."""
        failures = 0
        while True:
            begun, opened = time.monotonic(), False
            seconds = self._pace.watch * (0.8 + random.random() / 5)  # noqa: S311 - spreads load
            assert self._served is not None  # noqa: S101 - it was listed
            try:
                async with aclosing(self._reader.watch(self._served, version, seconds)) as stream:
                    async for progress in stream:
                        opened = opened or self._open()
                        version = progress.version or version
                        self._take(progress)
            except ExpiredError:
                return
            except UnreachableError as error:
                if opened and error.reason not in {Reason.UNREACHABLE, Reason.TIMEOUT}:
                    return
                if not opened:
                    failures += 1
                    self._note("watch", error)
                    await self._rest(failures, error)
                    continue
            failures = failures + 1 if time.monotonic() - begun < _HASTY else 0
            if failures > 1:
                await asyncio.sleep(self._pace.rest(failures - 1, random.random()))  # noqa: S311 - spreads load

    def _open(self) -> bool:
        self._watches += 1
        self._clear("watch")
        return True

    def _take(self, progress: Progress) -> None:
        for change in progress.changes:
            self.event(change.seen, gone=change.gone)

    async def _read_wanted(self) -> None:
        """Read objects that became of interest after they were listed."""
        failures = 0
        while True:
            await self._recheck.wait()
            self._recheck.clear()
            self._rechecking = True
            try:
                await self._read_missing()
            except UnreachableError as error:
                failures += 1
                self._note("get", error)
                self._recheck.set()
                await asyncio.sleep(self._pace.rest(failures, random.random(), error.asked))  # noqa: S311 - spreads load
                continue
            failures = 0
            self._rechecking = False
            self._clear("get")
            self._changed()
            await asyncio.sleep(_BREATH)

    async def _read_missing(self) -> None:
        for key in self.shelf.recheck():
            assert self._served is not None  # noqa: S101 - it was listed
            self.shelf.read(key, await self._reader.one(self._served, key.namespace, key.name))

    def _believe(self) -> None:
        """What is known now is what a list says."""
        self._listed = time.time()
        self._changed()

    def _note(self, what: str, error: UnreachableError) -> None:
        known = self._troubles.get(what)
        since = known.since if known is not None else time.time()
        self._troubles[what] = Trouble(error.reason, error.message, since)
        self._changed()

    def _clear(self, what: str) -> None:
        if self._troubles.pop(what, None) is not None:
            self._changed()

    async def _rest(self, failures: int, error: UnreachableError) -> None:
        await sleep_or(self._look, self._pace.rest(failures, random.random(), error.asked))  # noqa: S311 - spreads load


def _listing(seen: tuple[Seen, ...], version: str) -> Listing:
    return Listing(version, {one.key: one.version for one in seen}, {one.key: one for one in seen})
