"""What does `northgate proxy` say when it cannot run?"""

from __future__ import annotations

import json
import socket

import pytest
from typer.testing import CliRunner

from northgate.cli.main import app
from northgate.files.pod import named

RUNNER = CliRunner()


def run(tmp_path, text: str | None, *more: str):
    file = tmp_path / "bootstrap.json"
    if text is not None:
        file.write_text(text)
    arguments = ["proxy", "--bootstrap", str(file), "--node", "edge-1", "--envoy-path", "/bin/true"]
    return RUNNER.invoke(app, [*arguments, "--admin", str(tmp_path / "run" / "admin.sock"), *more])


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"node": 1}', '"node"'])
def test_a_file_that_is_no_bootstrap_is_named(tmp_path, text):
    found = run(tmp_path, text)
    assert found.exit_code == 1
    assert "bootstrap.json" in found.output


@pytest.mark.parametrize("address", ["", "64511", "host:", "host:x"])
def test_an_address_of_probes_that_is_none_is_named(tmp_path, address):
    found = run(tmp_path, '{"node": {}}', "--probes", address)
    assert found.exit_code == 2
    assert "--probes" in found.output


def test_an_address_that_is_taken_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = run(tmp_path, '{"node": {}}', "--probes", f"127.0.0.1:{taken.getsockname()[1]}")
    assert found.exit_code == 1
    assert "address already in use" in found.output


def test_a_bootstrap_gets_the_proxys_own_id_and_keeps_the_rest():
    given = {"node": {"cluster": "edge/edge"}, "admin": {}}
    assert json.loads(named(json.dumps(given), "edge-1")) == {
        "node": {"cluster": "edge/edge", "id": "edge-1"},
        "admin": {},
    }
