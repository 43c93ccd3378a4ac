"""Which files of a folder count, and what do they hold now? Listing and reading where every failure is a value."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from northgate.files.documents import LARGEST_FILE, FileProblem

ENDINGS = (".yaml", ".yml", ".json")
"""Endings of the files that are read. Hidden files and all others do not count, editors' temporary files among them."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file does, unless it changes twice within one tick of the file system's clock."""

    modified_ns: int
    size: int
    inode: int
    device: int


@dataclass(slots=True)
class Listing:
    """The files below a folder by their paths in it, in sorted order of names, and what could not be looked at.

    `unread` holds paths, with everything below them; the empty path is the folder itself.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    unread: dict[str, FileProblem] = field(default_factory=dict)

    def hides(self, path: str) -> bool:
        """Whether `path` may well exist although it is not listed."""
        return any(path == place or not place or path.startswith(f"{place}/") for place in self.unread)


def list_files(root: Path) -> Listing:
    """The files that count below `root`. Links are followed; each directory is entered once."""
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        place = pending.pop()
        try:
            pending += _look_into(root, place, listing, seen)
        except OSError as error:
            listing.unread[place] = unreadable(root, place, error)
    return listing


def _look_into(root: Path, place: str, listing: Listing, seen: set[tuple[int, int]]) -> list[str]:
    """Add the files of one directory to `listing`; its directories are returned, last first."""
    path = root / place
    found = path.stat()
    if (found.st_dev, found.st_ino) in seen:
        return []
    seen.add((found.st_dev, found.st_ino))
    directories: list[str] = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith("."):
                directories += _look_at(root, f"{place}/{entry.name}" if place else entry.name, entry, listing)
    return directories[::-1]


def _look_at(root: Path, place: str, entry: os.DirEntry[str], listing: Listing) -> Iterator[str]:
    counts = entry.name.endswith(ENDINGS)
    try:
        found = entry.stat()
    except OSError as error:
        # A file that is gone since the directory was read is simply not there; a link to nothing is a broken mount.
        if counts and (entry.is_symlink() or not isinstance(error, FileNotFoundError)):
            listing.unread[place] = unreadable(root, place, error)
        return
    if stat.S_ISDIR(found.st_mode):
        yield place
    elif counts:
        listing.files[place] = _stamp(found)


def read_file(root: Path, place: str) -> tuple[Stamp, bytes] | FileProblem | None:
    """The bytes of a file, at most one more than are allowed, and their stamp; None while it is being replaced."""
    try:
        # Without O_NONBLOCK a pipe of that name would block the reader for ever.
        descriptor = os.open(root / place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        return unreadable(root, place, error)
    try:
        return _read_whole(root, place, descriptor)
    except OSError as error:
        return unreadable(root, place, error)
    finally:
        os.close(descriptor)


def _read_whole(root: Path, place: str, descriptor: int) -> tuple[Stamp, bytes] | FileProblem | None:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return FileProblem(shown(root, place), 1, 1, (), "this is not a regular file, so rename or remove it")
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(LARGEST_FILE + 1)
    stamp = _stamp(before)
    return (stamp, content) if _stamp(os.fstat(descriptor)) == stamp else None


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)


def unreadable(root: Path, place: str, error: OSError) -> FileProblem:
    """The problem of a file or directory the system does not let us read."""
    reason = error.strerror or type(error).__name__
    message = f"this cannot be read ({reason}), so see that it exists and give this process access to it"
    return FileProblem(shown(root, place), 1, 1, (), message)


def shown(root: Path, place: str) -> str:
    """A file's path as problems name it: one line of printable text."""
    path = os.fsencode(root / place).decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in path)
