from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from northgate.cli.logs import set_up


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, watcher = logging.getLogger(), logging.getLogger("watchfiles")
    before = (root.handlers[:], root.level, watcher.level)
    yield
    root.handlers[:], root.level, watcher.level = before


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_says_when_how_grave_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text")
    logging.getLogger("northgate").error("port %d is taken", 80)
    [line] = said(capsys)
    assert line[12:] == " error   port 80 is taken"


def test_as_json_a_line_is_an_object_with_the_exception_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("northgate").exception("failed")
    [line] = said(capsys)
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "northgate", "failed")
    assert "ValueError: invalid literal" in entry["exception"]


def test_counted_events_of_the_folder_are_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text")
    logging.getLogger("watchfiles.main").info("3 changes detected")
    logging.getLogger("watchfiles.main").warning("too many files")
    assert [line.split()[1:] for line in said(capsys)] == [["warning", "too", "many", "files"]]


def test_quiet_keeps_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", quiet=True)
    logging.getLogger("northgate").info("ready")
    assert said(capsys) == []
