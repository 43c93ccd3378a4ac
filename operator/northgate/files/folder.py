"""Which objects does a folder declare now? What its files hold, and what they held where one cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from northgate.files.documents import Document, FileContent, FileProblem, duplicate, read_documents
from northgate.files.listing import Listing, Stamp, list_files, read_file, shown
from northgate.world.key import ObjectKey

_FRESH_NS = 100_000_000
"""A file modified less than 0.1 s ago may change again under the same stamp, so it is read again."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """What a folder declares. Not `complete`: part of it could not be looked at, so absence proves nothing.

    `settling`: something vanished or was written just now and is not yet believed; read again soon.
    """

    documents: Mapping[ObjectKey, Document]
    problems: tuple[FileProblem, ...]
    complete: bool
    settling: bool


@dataclass(frozen=True, slots=True)
class _File:
    """One file: the documents that count, and those `lost` with its newest content but not yet given up."""

    documents: Mapping[ObjectKey, Document] = field(default_factory=dict)
    lost: Mapping[ObjectKey, Document] = field(default_factory=dict)
    lost_at: float = 0.0
    problems: tuple[FileProblem, ...] = ()
    stamp: Stamp | None = None
    fresh: bool = True
    digest: bytes = b""
    listed: bool = True
    writing: bool = False


class Folder:
    """A folder as a source of objects. One owner at a time; `read` blocks on the file system and never raises.

    `settle` is in seconds: objects are given up only when their absence has lasted that long, since editors and
    copying tools truncate, unlink and rename before they write; changes, when they are an eighth of it old. 0 believes
    everything at once.
    """

    def __init__(self, root: Path, settle: float = 0.0) -> None:
        self.root = root
        self.settle = settle
        self._files: dict[str, _File] = {}
        self._absent_at: float | None = None

    def read(self, now: float = 0.0) -> FolderState:
        """Look at the folder; only changed files are read. `now` is wall-clock time in seconds since the epoch.

        A folder that is missing, unreadable or without any YAML file is a broken source: everything is kept. To
        declare nothing, leave one file with nothing but a comment.
        """
        listing = list_files(self.root)
        if absent := self._absent(listing):
            return self._state(self._if_lasting(absent, now), complete=False)
        self._absent_at = None
        self._take_in(listing, now)
        return self._state(listing.unread.values(), complete=not listing.unread)

    def _if_lasting(self, absent: FileProblem, now: float) -> tuple[FileProblem, ...]:
        """The problem of a source that is absent, once that has lasted; a folder that is being swapped has none."""
        if self._absent_at is None:
            self._absent_at = now if self._files else float("-inf")
        return (absent,) if self._settled(self._absent_at, now) else ()

    def _absent(self, listing: Listing) -> FileProblem | None:
        if problem := listing.unread.get(""):
            return replace(problem, message=f"{problem.message}; all objects stay as they are")
        if listing.files or listing.unread:
            return None
        message = (
            "the folder holds no .yaml, .yml or .json file, so put them back, "
            "or leave one with a comment only if nothing is meant to be served; all objects stay as they are"
        )
        return FileProblem(shown(self.root, ""), 1, 1, (), message)

    def _settled(self, since: float, now: float) -> bool:
        return abs(now - since) >= self.settle

    def _take_in(self, listing: Listing, now: float) -> None:
        for place in listing.files.keys() | self._files.keys():
            file = self._files.get(place, _File())
            if place in listing.files:
                file = self._reread(place, file, listing.files[place], now)
            elif not listing.hides(place):
                file = self._vanished(file, now)
            self._files[place] = self._given_up(file, now)
        self._files = {place: file for place, file in self._files.items() if file.listed or file.lost}

    def _reread(self, place: str, file: _File, stamp: Stamp, now: float) -> _File:
        if file.listed and file.stamp == stamp and not file.fresh:
            return file
        found = None if self._hot(file, stamp, now) else read_file(self.root, place)
        if found is None:
            return replace(file, stamp=None, listed=True, writing=True)
        if isinstance(found, FileProblem):
            return replace(file, problems=(_kept(found, file),), stamp=None, digest=b"", listed=True, writing=False)
        stamp, content = found
        fresh = stamp.modified_ns > now * 1e9 - _FRESH_NS
        file, digest = replace(file, stamp=stamp, fresh=fresh, writing=False), blake2b(content).digest()
        if file.listed and file.digest == digest:
            return file
        content_read = read_documents(shown(self.root, place), content)
        return replace(_succeeded(file, content_read, now), digest=digest, listed=True)

    def _hot(self, file: _File, stamp: Stamp, now: float) -> bool:
        """Whether a change is so young that more of it may follow: a writer pauses for less than that."""
        return file.stamp != stamp and abs(now - stamp.modified_ns / 1e9) < self.settle / 8

    def _vanished(self, file: _File, now: float) -> _File:
        if not file.listed:
            return file
        return replace(_succeeded(file, FileContent(), now), stamp=None, digest=b"", listed=False, writing=False)

    def _given_up(self, file: _File, now: float) -> _File:
        return replace(file, lost={}) if file.lost and self._settled(file.lost_at, now) else file

    def _state(self, source: Collection[FileProblem], *, complete: bool) -> FolderState:
        files = [self._files[place] for place in sorted(self._files)]
        documents, duplicates = _merged(tuple(chain.from_iterable(file.documents.values() for file in files)))
        for document in chain.from_iterable(file.lost.values() for file in files):
            documents.setdefault(document.key, document)
        problems = sorted({*source, *duplicates, *chain.from_iterable(file.problems for file in files)})
        settling = any(file.lost or file.writing for file in files) or not (source or complete)
        unknown = any(file.writing and not file.digest for file in files)
        return FolderState(documents, tuple(problems), complete and not unknown, settling)


def _succeeded(file: _File, content: FileContent, now: float) -> _File:
    """The file after its newest content: what a broken content does not say is kept, what a good one omits is lost."""
    if content.broken:
        return replace(file, problems=tuple(_kept(problem, file) for problem in content.problems))
    documents = {document.key: document for document in content.documents}
    before = {**file.lost, **file.documents}
    omitted = {key: document for key, document in before.items() if key not in documents}
    if content.partial:
        return replace(file, documents={**documents, **omitted}, lost={}, problems=content.problems)
    return replace(file, documents=documents, lost=omitted, lost_at=now, problems=content.problems)


def _kept(problem: FileProblem, file: _File) -> FileProblem:
    if not file.documents:
        return problem
    return replace(problem, message=f"{problem.message}; what the file declared before stays in force")


def _merged(documents: Collection[Document]) -> tuple[dict[ObjectKey, Document], list[FileProblem]]:
    first: dict[ObjectKey, Document] = {}
    for document in documents:
        first.setdefault(document.key, document)
    later = (document for document in documents if first[document.key] is not document)
    return first, [duplicate(document, first[document.key]) for document in later]
