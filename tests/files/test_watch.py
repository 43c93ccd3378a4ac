"""Edits of real files arrive as changes, soon and whole, however an editor or a mount writes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from northgate.files.documents import Document
from northgate.files.folder import Folder
from northgate.files.watch import SETTLE, FolderChange, watch
from northgate.world.key import ObjectKey

DEADLINE = 10.0
SLOW = 1.0
"""How long absence must last in tests whose writers pause for PAUSE, so that a busy machine changes nothing."""
PAUSE = 0.25


def route(*names: str, value: int = 1) -> str:
    head = "apiVersion: northgate.dev/v1alpha1\nkind: Route\n"
    return "---\n".join(f"{head}metadata: {{name: {name}}}\nspec: {{value: {value}}}\n" for name in names)


class Holder:
    """What somebody who applies every change holds, and which changes there were."""

    def __init__(self, changes: AsyncIterator[FolderChange]) -> None:
        self._changes = changes
        self.held: dict[ObjectKey, Document] = {}
        self.seen: list[FolderChange] = []

    @property
    def values(self) -> dict[str, int]:
        return {key.name: document.raw["spec"]["value"] for key, document in self.held.items()}

    @property
    def last(self) -> FolderChange:
        return self.seen[-1]

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not self.seen or not fact():
                change = await anext(self._changes)
                self.seen.append(change)
                self.held |= {document.key: document for document in change.put}
                for key in change.removed:
                    del self.held[key]


@asynccontextmanager
async def holding(root: Path, *, settle: float = SETTLE, force_polling: bool = False) -> AsyncIterator[Holder]:
    async with aclosing(watch(Folder(root, settle), force_polling=force_polling)) as changes:
        yield Holder(changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text(route("a"))
    (folder / "keep.yaml").write_text(route("keep"))
    return folder


@pytest.mark.parametrize("force_polling", [False, True])
async def test_the_first_change_is_everything_and_edits_follow(root, force_polling):
    async with holding(root, force_polling=force_polling) as holder:
        await holder.until(lambda: True)
        assert holder.values == {"a": 1, "keep": 1}
        assert holder.last.complete
        for number in range(2, 5):
            (root / "a.yaml").write_text(route("a", value=number))
            await holder.until(lambda number=number: holder.values["a"] == number)
            assert [document.key.name for document in holder.last.put] == ["a"]
        (root / "a.yaml").unlink()
        await holder.until(lambda: "a" not in holder.values)
        (root / "new" / "deep").mkdir(parents=True)
        (root / "new" / "deep" / "b.yaml").write_text(route("b"))
        await holder.until(lambda: "b" in holder.values)


async def test_an_edit_right_after_the_first_reading_is_noticed_by_the_system_not_by_chance(root):
    """The watch stands before the first reading, so no edit waits for the next look a second later."""
    fastest = DEADLINE
    for number in range(2, 5):
        async with holding(root) as holder:
            await holder.until(lambda: True)
            started = time.monotonic()
            (root / "a.yaml").write_text(route("a", value=number))
            await holder.until(lambda number=number: holder.values["a"] == number)
            fastest = min(fastest, time.monotonic() - started)
    assert fastest < 0.5


def truncate_then_write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.flush()
        time.sleep(PAUSE)
        for line in text.splitlines(keepends=True):
            file.write(line)
            file.flush()
            time.sleep(PAUSE / 10)


def rename_over(path: Path, text: str) -> None:
    temporary = path.with_name("4913.yaml.tmp")
    temporary.write_text(text)
    temporary.rename(path)


def keep_a_backup(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    time.sleep(PAUSE)
    path.write_text(text)


@pytest.mark.parametrize("save", [truncate_then_write, rename_over, keep_a_backup])
async def test_however_an_editor_saves_no_object_is_removed(root, save):
    async with holding(root, settle=SLOW) as holder:
        await holder.until(lambda: True)
        saving = asyncio.create_task(asyncio.to_thread(save, root / "a.yaml", route("a", "b", "c", value=2)))
        await holder.until(lambda: holder.values == {"a": 2, "b": 2, "c": 2, "keep": 1})
        await saving
        (root / "end.yaml").write_text(route("end"))
        await holder.until(lambda: "end" in holder.values)
        assert [change.removed for change in holder.seen if change.removed] == []
        assert holder.last.problems == ()


async def test_a_half_written_file_removes_nothing_and_its_other_half_counts(root):
    text = route("a", "b", value=2)
    async with holding(root, settle=SLOW) as holder:
        (root / "a.yaml").write_text(route("a", "b"))
        await holder.until(lambda: "b" in holder.values)
        (root / "a.yaml").write_text(text[: text.rindex("{value")] + "{val")
        await holder.until(lambda: bool(holder.last.problems))
        assert holder.values == {"a": 1, "b": 1, "keep": 1}
        (root / "a.yaml").write_text(text)
        await holder.until(lambda: not holder.last.problems)
        assert holder.values == {"a": 2, "b": 2, "keep": 1}
        assert not any(change.removed for change in holder.seen)


async def test_a_config_map_swap_is_one_change(root):
    for number in (1, 2):
        (root / f"..{number}").mkdir()
        for name in ("x", "z"):
            (root / f"..{number}" / f"{name}.yaml").write_text(route(name, value=number))
    (root / "..data").symlink_to("..1")
    for name in ("x", "z"):
        (root / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    async with holding(root) as holder:
        await holder.until(lambda: holder.values == {"a": 1, "keep": 1, "x": 1, "z": 1})
        (root / "..tmp").symlink_to("..2")
        (root / "..tmp").rename(root / "..data")
        await holder.until(lambda: holder.values["x"] == 2)
        assert holder.values == {"a": 1, "keep": 1, "x": 2, "z": 2}
        assert len(holder.seen) == 2


async def test_a_folder_may_come_late_go_away_and_come_back(root, tmp_path):
    aside = tmp_path / "aside"
    root.rename(aside)
    async with holding(root) as holder:
        await holder.until(lambda: True)
        assert (holder.held, holder.last.complete, len(holder.last.problems)) == ({}, False, 1)
        aside.rename(root)
        await holder.until(lambda: holder.last.complete)
        assert holder.values == {"a": 1, "keep": 1}
        root.rename(aside)
        await holder.until(lambda: bool(holder.last.problems))
        assert holder.values == {"a": 1, "keep": 1}
        aside.rename(root)
        await holder.until(lambda: holder.last.complete)
        (root / "a.yaml").write_text(route("a", value=2))
        await holder.until(lambda: holder.values["a"] == 2)
        assert not any(change.removed for change in holder.seen)


async def test_an_error_in_the_watch_is_loud(root, monkeypatch):
    async def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("northgate.files.watch._listen", broken)
    with pytest.raises(ZeroDivisionError):
        async with holding(root) as holder:
            await holder.until(lambda: False)
