"""Is what the pages on running without a cluster say true? Their commands run, their tables are complete."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness.ports import HeldPorts
from tests.standalone.server import run

from northgate.api.conditions import Reason

DOCS = Path(__file__).parents[2] / "docs"
STANDALONE = (DOCS / "standalone.md").read_text()
TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", STANDALONE, re.MULTILINE | re.DOTALL)


def rows(heading: str, page: str) -> dict[str, list[str]]:
    """The rows of the table below a heading, by their first cell."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in cells[2:]}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_line_with_its_meaning_and_what_to_do(reason):
    means, fix = rows("By reason", TROUBLESHOOTING)[f"`{reason}`"]
    assert means.endswith(".")
    assert fix.endswith(".")


def test_there_is_no_line_for_a_reason_that_does_not_exist():
    assert set(rows("By reason", TROUBLESHOOTING)) == {f"`{reason}`" for reason in Reason}


def test_every_symptom_says_where_to_look_and_what_to_do():
    table = rows("By symptom", TROUBLESHOOTING)
    assert len(table) > 10
    assert all(len(cells) == 2 and all(cells) for cells in table.values())


async def test_every_option_of_serve_is_told_and_no_other():
    _, out, _ = await run("serve", "--help")
    known = set(re.findall(r"^│ (--[a-z-]+)", out, re.MULTILINE)) - {"--help"}
    told = {re.match(r"`(--[a-z-]+)", name)[1] for name in rows("Options of `serve`", STANDALONE)}
    assert told == known


@pytest.mark.envoy
async def test_the_commands_work_one_after_the_other(envoy_binary, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("no curl: the page asks by it")
    northgate = tmp_path / "bin" / "northgate"
    northgate.parent.mkdir()
    northgate.write_text(f'#!/bin/sh\nexec {sys.executable} -m northgate.cli.main "$@"\n')
    northgate.chmod(0o755)
    with HeldPorts() as held:
        ports = {number: held() for number in (8080, 18000, 18001)}
        for port in (ports[18000], ports[18001]):
            held.release(port)
        said = await _run_blocks(tmp_path, ports)
    assert "2 objects, 0 errors, 0 warnings" in said["northgate validate"]
    assert said["northgate status"].endswith("hello\n")
    assert said["sed"] == "hello again\n"
    assert "pop: fra1" in (tmp_path / "envoy.yaml").read_text()
    assert "READY" not in said["northgate bootstrap"]
    assert "hello.example" in said["northgate status -o"]


async def _run_blocks(folder: Path, ports: dict[int, int]) -> dict[str, str]:
    """What each block printed, by how it begins; `serve` runs beside the blocks after it."""
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "NORTHGATE_STATUS": f"127.0.0.1:{ports[18001]}",
    }
    said: dict[str, str] = {}
    serving: asyncio.subprocess.Process | None = None
    try:
        for block in BLOCKS:
            text = block.replace("8080/", f"{ports[8080]}/")
            if block.startswith("northgate serve"):
                command = text.strip().replace("80=8080", f"80={ports[8080]}")
                options = f"--xds 127.0.0.1:{ports[18000]} --status-listen 127.0.0.1:{ports[18001]} --concurrency 1"
                serving = await _start(f"exec {command} {options}", folder, environment)
                await _listening(ports[18001])
                continue
            process = await _start(text, folder, environment)
            out, _ = await asyncio.wait_for(process.communicate(), 60)
            said[_beginning(block)] = out.decode()
            assert process.returncode == 0, f"{block}\n{out.decode()}"
    finally:
        if serving is not None:
            serving.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(serving.wait(), 20) == 0
    return said


def _beginning(block: str) -> str:
    words = block.split()
    if words[0] != "northgate":
        return words[0]
    return " ".join(words[:3]) if words[2] == "-o" else " ".join(words[:2])


async def _start(script: str, folder: Path, environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sh", "-c", script, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
