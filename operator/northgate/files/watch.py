"""What changes in a folder, as it changes? Whole differences between one state of its objects and the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from northgate.files.documents import Document, FileProblem
from northgate.files.folder import Folder, FolderState
from northgate.world.key import ObjectKey

SETTLE = 0.2
"""Seconds an object's absence must last before it is believed: longer than any editor takes to write a file."""

_GATHER_MS = 200
_QUIET_MS = 25
_LOOK_AGAIN_MS = 1000
_POLL = 0.2
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class FolderChange:
    """What to do to hold what the folder declares; `problems` are all there are now, not only new ones.

    Not `complete`: part of the folder could not be looked at, so an object never `put` may be declared all the same.
    """

    put: tuple[Document, ...]
    removed: tuple[ObjectKey, ...]
    problems: tuple[FileProblem, ...]
    complete: bool


async def watch(folder: Folder, *, force_polling: bool = False) -> AsyncGenerator[FolderChange]:
    """The folder's content as the first change, then every change, until the caller closes the iterator.

    Changes are noticed at once through the system, and once a second by looking, which also finds a folder that is
    replaced, mounted or a link's target elsewhere. The first change waits, up to a second, for files that are being
    written. `force_polling` only looks, five times a second, for file systems
    that tell nothing.
    """
    bell = asyncio.Event()
    ringing = asyncio.create_task(_look_often(bell) if force_polling else _listen(folder.root, bell))
    ringing.add_done_callback(lambda _: bell.set())
    told: FolderState | None = None
    state: FolderState | None = None
    begun = time.monotonic()
    try:
        while True:
            await _heard(bell, folder.settle / 4 if state and state.settling else None)
            if ringing.done():
                ringing.result()
            state = await asyncio.to_thread(folder.read, time.time())
            if told is None and state.settling and time.monotonic() - begun < _PATIENCE:
                continue
            change, told = difference(told, state), state
            if change is not None:
                yield change
    finally:
        ringing.cancel()
        await asyncio.gather(ringing, return_exceptions=True)


def difference(before: FolderState | None, now: FolderState) -> FolderChange | None:
    """The change from one state to the next, None if there is none; the first state is always a change."""
    known = before.documents if before else {}
    put = tuple(document for key, document in now.documents.items() if _differs(known.get(key), document))
    removed = tuple(sorted(key for key in known if key not in now.documents))
    same = before is not None and (before.problems, before.complete) == (now.problems, now.complete)
    return None if same and not put and not removed else FolderChange(put, removed, now.problems, now.complete)


def _differs(known: Document | None, document: Document) -> bool:
    return known is not document and known != document


async def _heard(bell: asyncio.Event, timeout: float | None) -> None:  # noqa: ASYNC109 - silence is an answer here
    try:
        async with asyncio.timeout(timeout):
            await bell.wait()
    except TimeoutError:
        return
    bell.clear()


async def _look_often(bell: asyncio.Event) -> None:
    while True:
        bell.set()
        await asyncio.sleep(_POLL)


async def _listen(root: Path, bell: asyncio.Event) -> None:
    """Ring when something happens below `root`, when nothing did for a second, and after every new beginning."""
    while True:
        # Nobody hears this before the watch below stands, since it is set up without waiting for anything: what
        # changes between a reading and the watch would go unnoticed otherwise.
        bell.set()
        try:
            await _listen_to_one(root, bell)
        except (OSError, RuntimeError):
            # No such folder, no right to it, no watches left, or the watch broke: then looking has to do.
            await asyncio.sleep(_LOOK_AGAIN_MS / 1000)


async def _listen_to_one(root: Path, bell: asyncio.Event) -> None:
    """Ring until `root` is no longer the directory it was, which the system does not tell."""
    directory = _identity(root)
    async for _ in awatch(
        root,
        watch_filter=None,
        debounce=_GATHER_MS,
        step=_QUIET_MS,
        rust_timeout=_LOOK_AGAIN_MS,
        yield_on_timeout=True,
        force_polling=False,
        ignore_permission_denied=True,
    ):
        bell.set()
        if _identity(root) != directory:
            return


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
