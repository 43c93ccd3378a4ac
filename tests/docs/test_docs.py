"""The documentation is true: generated files are fresh, links lead somewhere, the README's commands run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from northgate.api.conditions import Reason
from northgate.api.route import FEATURES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_operator_is_no_package() -> None:
    """It would shadow the standard library's `operator` and break Python itself from this folder."""
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_every_feature_has_an_example_that_is_its_golden_case() -> None:
    modules = {feature.__module__.rpartition(".")[2].replace("_", "-") for feature in FEATURES.values()}
    assert modules <= {path.stem for path in (ROOT / "examples").glob("*.yaml")}


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_every_reason_is_given_somewhere(reason: Reason) -> None:
    texts = (path.read_text() for path in (ROOT / "operator").rglob("*.py"))
    assert any(f"Reason.{reason.name}" in text for text in texts)


def test_the_readme_commands_are_real() -> None:
    """Those that end by themselves are run; `make demo` and `serve` have tests of their own."""
    commands = re.findall(
        r"^\.venv/bin/northgate ((?:validate|translate) [^#\n]*)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "northgate.cli.main", *command.split()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
