"""What is known of a kind in a place? Versions and digests of its objects; what changes is told, once.

Two sources may feed one shelf, and their news may come late: an event that is older than the last list is no news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from northgate.kube.kinds import Kind
from northgate.kube.reading import Seen
from northgate.world.key import ObjectKey

Document = Mapping[str, Any]
Tell = Callable[[ObjectKey, Document | None], None]
"""Takes news of an object: what it says now, or None when it is gone."""

_ENCODER = msgspec.json.Encoder(order="sorted")
_KEPT_METADATA = ("name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp", "labels")
_COPY_OF_ALL = "kubectl.kubernetes.io/last-applied-configuration"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """The version of an object that is known, and the digest of what was told of it; None: it is not of interest."""

    version: str
    digest: bytes | None


@dataclass(slots=True)
class Listing:
    """A whole list: the version of every object, the content of those that differed from what was known before."""

    version: str = ""
    versions: dict[ObjectKey, str] = field(default_factory=dict)
    news: dict[ObjectKey, Seen] = field(default_factory=dict)


class Shelf:
    """The objects of a kind in a place."""

    def __init__(self, kind: Kind, tell: Tell, wanted: Callable[[ObjectKey], bool]) -> None:
        self.kind = kind
        self._tell = tell
        self._wanted = wanted if kind.selective else lambda _: True
        self._held: dict[ObjectKey, Held] = {}
        self._touched: dict[ObjectKey, int] = {}
        self._floor = -1

    def __len__(self) -> int:
        """How many objects are known, of interest or not."""
        return len(self._held)

    @property
    def group(self) -> str | None:
        """The API group the objects are of, None while there are none."""
        return next((key.group for key in self._held), None)

    def kept(self) -> int:
        """How many objects are of interest."""
        return sum(held.digest is not None for held in self._held.values())

    def version(self, key: ObjectKey) -> str:
        """The version that is known, empty for none."""
        held = self._held.get(key)
        return held.version if held else ""

    def begin(self) -> None:
        """A list is asked for: only what events say from now on can be newer than it."""
        self._touched.clear()

    def event(self, seen: Seen, *, gone: bool) -> None:
        """Take an event. One that says what is known, or less, costs nothing."""
        number, known = _number(seen.version), _number(self.version(seen.key))
        if number <= self._floor or (number <= known and not (gone and number == known)):
            return
        self._touched[seen.key] = number
        if gone:
            self._remove(seen.key)
        else:
            self._put(seen)

    def replace(self, listing: Listing) -> None:
        """Hold what a list says, and no more, but for what events said that is newer."""
        for key in self.differing(listing):
            if key not in listing.versions:
                self._remove(key)
            elif key in listing.news:
                self._put(listing.news[key])
        # Whatever happened up to this version is in the list.
        self._floor = _number(listing.version)

    def differing(self, listing: Listing) -> tuple[ObjectKey, ...]:
        """The objects about which a list says something else than is known, and no event said something newer."""
        gone = [key for key in self._held if key not in listing.versions]
        other = [key for key, version in listing.versions.items() if self.version(key) != version]
        newest = _number(listing.version)
        return tuple(key for key in (*gone, *other) if self._touched.get(key, -1) <= newest)

    def recheck(self) -> tuple[ObjectKey, ...]:
        """Ask again which objects are of interest: others are let go; those that now are and have to be read."""
        missing = []
        for key, held in tuple(self._held.items()):
            wanted = self._wanted(key)
            if wanted and held.digest is None:
                missing.append(key)
            elif not wanted and held.digest is not None:
                self._held[key] = Held(held.version, None)
                self._tell(key, None)
        return tuple(missing)

    def read(self, key: ObjectKey, seen: Seen | None) -> None:
        """Take what the API server says of one object, asked after it became of interest; None: it is gone."""
        if seen is None:
            self._remove(key)
            return
        self._touched[key] = max(_number(seen.version), self._touched.get(key, -1))
        if _number(seen.version) >= _number(self.version(key)):
            self._put(seen)

    def _put(self, seen: Seen) -> None:
        held = self._held.get(seen.key)
        before = held.digest if held else None
        if not self._wanted(seen.key):
            self._held[seen.key] = Held(seen.version, None)
            if before is not None:
                self._tell(seen.key, None)
            return
        try:
            document = trimmed(self.kind, seen.load())
            digest = blake2b(_ENCODER.encode(document), digest_size=16).digest()
        except (msgspec.MsgspecError, UnicodeError, TypeError):
            log.error("%s cannot be read as JSON; what it said before stays in force", seen.key)  # noqa: TRY400 - the error could repeat content
            self._held[seen.key] = Held(seen.version, before)
            return
        self._held[seen.key] = Held(seen.version, digest)
        if digest != before:
            self._tell(seen.key, document)

    def _remove(self, key: ObjectKey) -> None:
        held = self._held.pop(key, None)
        if held is not None and held.digest is not None:
            self._tell(key, None)


def trimmed(kind: Kind, document: Document) -> dict[str, Any]:
    """An object without what no decision looks at: its status, its version, who wrote which field.

    Annotations are kept for Northgate's own kinds only; others' change often and say nothing here.
    """
    metadata = document.get("metadata") or {}
    kept = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
    if kind.own and (annotations := metadata.get("annotations")):
        kept["annotations"] = {name: text for name, text in annotations.items() if name != _COPY_OF_ALL}
    content = {name: value for name, value in document.items() if name not in {"metadata", "status"}}
    return {**content, "metadata": kept}


def _number(version: str) -> int:
    """Versions of objects are numbers that grow over all objects of a kind; -1 where there is none."""
    return int(version) if version.isascii() and version.isdigit() else -1
