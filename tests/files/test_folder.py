"""A folder's state: what changes with its files, and what stays when they break, vanish or are half there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northgate.files.folder import Folder, FolderState
from northgate.world.key import ObjectKey

SETTLE = 1.0


def route(*names: str, value: int = 1) -> str:
    head = "apiVersion: northgate.dev/v1alpha1\nkind: Route\n"
    return "---\n".join(f"{head}metadata: {{name: {name}}}\nspec: {{value: {value}}}\n" for name in names)


def key(name: str) -> ObjectKey:
    return ObjectKey("northgate.dev", "Route", "default", name)


def names(state: FolderState) -> set[str]:
    return {found.name for found in state.documents}


def value(state: FolderState, name: str) -> int:
    return state.documents[key(name)].raw["spec"]["value"]


def messages(state: FolderState) -> list[str]:
    return [str(problem) for problem in state.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "a.yaml").write_text(route("a1", "a2"))
    (tmp_path / "b.yaml").write_text(route("b"))
    return Folder(tmp_path)


def write(folder: Folder, name: str, text: str) -> None:
    (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
    (folder.root / name).write_text(text)


def test_everything_below_the_folder_counts(folder):
    write(folder, "team/deep/c.yml", route("c"))
    write(folder, "d.json", '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}}')
    state = folder.read()
    assert names(state) == {"a1", "a2", "b", "c", "d"}
    assert state.problems == ()
    assert state.complete
    assert not state.settling


def test_hidden_and_temporary_files_do_not_count(folder):
    for name in (
        ".hidden.yaml",
        ".a.yaml.swp",
        "a.yaml~",
        "a.yaml.bak",
        "#a.yaml#",
        "4913",
        "README.md",
        ".git/x.yaml",
    ):
        write(folder, name, route("ghost"))
    (folder.root / ".#a.yaml").symlink_to("user@host.1:2")
    state = folder.read()
    assert names(state) == {"a1", "a2", "b"}
    assert state.problems == ()


def test_an_edit_changes_its_object(folder):
    folder.read()
    write(folder, "a.yaml", route("a1", "a2", value=7))
    assert value(folder.read(), "a1") == 7


def test_only_changed_files_are_read(folder, monkeypatch):
    later = (folder.root / "a.yaml").stat().st_mtime + 10
    first = folder.read(later)
    opened = []
    monkeypatch.setattr("northgate.files.folder.read_file", lambda _, place: opened.append(place))
    second = folder.read(later)
    assert opened == []
    assert all(second.documents[name] is document for name, document in first.documents.items())


def test_a_second_edit_under_the_same_stamp_is_seen(folder):
    path = folder.root / "a.yaml"
    stamp = path.stat().st_mtime_ns
    now = stamp / 1e9 + 0.01
    folder.read(now)
    path.write_text(route("a1", "a2", value=9))
    os.utime(path, ns=(stamp, stamp))
    assert value(folder.read(now), "a1") == 9


def test_a_broken_file_keeps_what_it_declared_and_says_where(folder):
    folder.read()
    write(folder, "a.yaml", route("a1", value=5) + "spec: [")
    state = folder.read()
    assert (names(state), value(state, "a1")) == ({"a1", "a2", "b"}, 1)
    assert len(state.problems) == 1
    assert messages(state)[0].startswith(f"{folder.root}/a.yaml:6:1: this is not YAML")
    assert "declared before stays in force" in messages(state)[0]
    assert state.complete
    write(folder, "a.yaml", route("a1", value=6))
    state = folder.read()
    assert (names(state), value(state, "a1"), state.problems) == ({"a1", "b"}, 6, ())


def test_a_document_without_identity_gives_up_nothing(folder):
    folder.read()
    write(folder, "a.yaml", route("a1", value=5) + "---\n" + route("a2").replace("kind", "kimd"))
    state = folder.read()
    assert (names(state), value(state, "a1")) == ({"a1", "a2", "b"}, 5)
    assert "kind is missing" in messages(state)[0]
    write(folder, "a.yaml", route("a1", value=5))
    assert names(folder.read()) == {"a1", "b"}


def test_the_first_file_wins_an_object_declared_twice(folder):
    write(folder, "c.yaml", route("b", "c", value=2))
    state = folder.read()
    assert (names(state), value(state, "b")) == ({"a1", "a2", "b", "c"}, 1)
    [message] = messages(state)
    assert message.startswith(f"{folder.root}/c.yaml:3:18: metadata.name: Route default/b is declared already")
    assert f"{folder.root}/b.yaml:1" in message
    (folder.root / "b.yaml").unlink()
    state = folder.read()
    assert (value(state, "b"), state.problems) == (2, ())


@pytest.mark.parametrize("how", ["missing", "empty", "a file", "unreadable"])
def test_an_absent_folder_is_a_broken_source_never_an_empty_one(folder, tmp_path, how):
    folder.read()
    aside = tmp_path.parent / f"aside-{tmp_path.name}"
    tmp_path.rename(aside)
    match how:
        case "empty":
            tmp_path.mkdir()
        case "a file":
            tmp_path.write_text("")
        case "unreadable":
            tmp_path.symlink_to(tmp_path)
    state = folder.read()
    assert names(state) == {"a1", "a2", "b"}
    assert not state.complete
    assert len(state.problems) == 1
    assert "all objects stay as they are" in messages(state)[0]
    if how == "empty":
        tmp_path.rmdir()
    elif how != "missing":
        tmp_path.unlink()
    aside.rename(tmp_path)
    assert folder.read().complete


def test_an_absent_folder_at_the_start_is_not_complete(tmp_path):
    state = Folder(tmp_path / "none", SETTLE).read(100.0)
    assert (dict(state.documents), state.complete, state.settling) == ({}, False, False)
    assert "No such file" in messages(state)[0]
    assert len(Folder(tmp_path).read().problems) == 1


def test_a_file_with_only_a_comment_declares_nothing_on_purpose(folder):
    folder.read()
    (folder.root / "b.yaml").unlink()
    write(folder, "a.yaml", "# nothing\n")
    state = folder.read()
    assert (dict(state.documents), state.problems, state.complete) == ({}, (), True)


def test_a_link_to_nothing_keeps_what_was_there(folder):
    target = folder.root / ".data.yaml"
    target.write_text(route("c"))
    (folder.root / "c.yaml").symlink_to(target)
    assert "c" in names(folder.read())
    target.unlink()
    state = folder.read()
    assert "c" in names(state)
    assert not state.complete
    assert "cannot be read" in messages(state)[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_directory_keeps_what_was_there(folder):
    write(folder, "team/c.yaml", route("c"))
    folder.read()
    (folder.root / "team").chmod(0)
    try:
        state = folder.read()
    finally:
        (folder.root / "team").chmod(0o700)
    assert "c" in names(state)
    assert not state.complete


def test_a_pipe_does_not_block_and_loops_of_links_end(folder):
    os.mkfifo(folder.root / "pipe.yaml")
    (folder.root / "loop").symlink_to(folder.root)
    state = folder.read()
    assert names(state) == {"a1", "a2", "b"}
    assert "not a regular file" in messages(state)[0]


def test_a_config_map_mount_swaps_as_one(tmp_path):
    def publish(number: int, **files: str) -> None:
        data = tmp_path / f"..{number}"
        (data / "sub").mkdir(parents=True)
        for name, text in files.items():
            (data / f"{name}.yaml").write_text(text)
        (data / "sub" / "s.yaml").write_text(route("s", value=number))
        (tmp_path / "..tmp").symlink_to(data.name)
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        for name in (*(f"{name}.yaml" for name in files), "sub"):
            if not (tmp_path / name).is_symlink():
                (tmp_path / name).symlink_to(f"..data/{name}")

    folder = Folder(tmp_path)
    publish(1, a=route("a", value=1))
    state = folder.read()
    assert (names(state), value(state, "a"), value(state, "s")) == ({"a", "s"}, 1, 1)
    publish(2, a=route("a", value=2), b=route("b"))
    state = folder.read()
    assert (names(state), value(state, "a"), value(state, "s")) == ({"a", "b", "s"}, 2, 2)
    assert state.problems == ()


def test_truncated_and_unlinked_files_keep_their_objects_until_it_lasts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(route(name))
    folder = Folder(tmp_path, SETTLE)
    folder.read(100.0)
    (tmp_path / "a.yaml").write_text("")
    state = folder.read(101.0)
    assert (names(state), state.settling, state.problems) == ({"a", "b"}, True, ())
    (tmp_path / "a.yaml").write_text(route("a", value=2))
    state = folder.read(101.5)
    assert (value(state, "a"), state.settling) == (2, False)
    (tmp_path / "a.yaml").unlink()
    assert names(folder.read(102.0)) == {"a", "b"}
    assert names(folder.read(102.9)) == {"a", "b"}
    state = folder.read(103.0)
    assert (names(state), state.settling, state.complete) == ({"b"}, False, True)


def test_a_file_is_read_when_its_writer_has_paused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(route("a"))
    folder = Folder(tmp_path, SETTLE)
    written = path.stat().st_mtime
    state = folder.read(written + 0.1)
    assert (names(state), state.complete, state.settling) == (set(), False, True)
    state = folder.read(written + 0.2)
    assert (names(state), state.complete, state.settling) == ({"a"}, True, False)
    os.utime(path, (written, written + 50))
    path.write_text(route("a", value=2))
    state = folder.read(path.stat().st_mtime + 0.1)
    assert (value(state, "a"), state.complete, state.settling) == (1, True, True)
    assert value(folder.read(path.stat().st_mtime + 0.2), "a") == 2


def test_an_object_moved_to_another_file_is_never_absent_nor_declared_twice(tmp_path):
    (tmp_path / "a.yaml").write_text(route("a", "b"))
    folder = Folder(tmp_path, SETTLE)
    folder.read(100.0)
    (tmp_path / "a.yaml").write_text(route("a"))
    assert names(folder.read(101.0)) == {"a", "b"}
    (tmp_path / "z.yaml").write_text(route("b", value=2))
    state = folder.read(101.1)
    assert (names(state), value(state, "b"), state.problems) == ({"a", "b"}, 2, ())
    assert folder.read(110.0).documents[key("b")].file.endswith("z.yaml")


def test_a_folder_that_is_being_swapped_is_no_problem_until_it_lasts(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.yaml").write_text(route("a"))
    folder = Folder(inside, SETTLE)
    folder.read(100.0)
    inside.rename(tmp_path / "old")
    state = folder.read(101.0)
    assert (names(state), state.problems, state.complete, state.settling) == ({"a"}, (), False, True)
    state = folder.read(102.5)
    assert (names(state), len(state.problems), state.complete, state.settling) == ({"a"}, 1, False, False)


def test_file_names_are_shown_as_one_line(tmp_path):
    (tmp_path / "a\nb.yaml").write_text("x")
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("x")
    state = Folder(tmp_path).read()
    assert sorted(Path(problem.file).name for problem in state.problems) == ["\\xff.yaml", "a\\nb.yaml"]
    assert "\n" not in "".join(messages(state))


steps = st.lists(
    st.tuples(
        st.sampled_from(["a.yaml", "b.yaml", "d/c.yaml"]),
        st.sampled_from([None, "", "x: [", route("a"), route("a", "b"), route("b", "c"), "kind: A\n", route("a")[:40]]),
    ),
    max_size=12,
)  # fmt: skip


@given(steps)
def test_what_is_good_now_is_what_a_fresh_reading_says(tmp_path_factory, edits):
    """Whatever happened before, a folder whose files are all good declares exactly what a new reader sees."""
    root = tmp_path_factory.mktemp("folder")
    folder = Folder(root)
    write(folder, "keep.yaml", "# always there\n")
    for file, text in edits:
        if text is None:
            (root / file).unlink(missing_ok=True)
        else:
            write(folder, file, text)
        state, fresh = folder.read(), Folder(root).read()
        assert names(state) >= names(fresh)
        if not fresh.problems:
            assert (state.documents, state.problems) == (fresh.documents, ())
