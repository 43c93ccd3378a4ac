"""Which fixtures do tests of bad input use? The good objects beside the bad ones, as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bad_input.cases import HERE

from northgate.ops.scenery import make_pair, secret


@pytest.fixture(scope="session")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The files of a good edge, with which nothing is wrong."""
    certificate = tmp_path_factory.mktemp("good") / "certificate.json"
    certificate.write_text(json.dumps(secret("edge", "example-tls", make_pair("*.example.test"))[1]))
    return (str(HERE / "gateway.yaml"), str(HERE / "base.yaml"), str(certificate))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    return tmp_path
