"""Every example does what its header says: all of them served together by a real Envoy, each table run against it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.ops.table import read_table
from northgate.ops.table_run import run_table

FILES = sorted(EXAMPLES.glob("*.yaml"))
TEXTS = {file: file.read_text() for file in FILES}


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with RunningEdge() as edge:
        await edge.serve([*edge.scenery(), *edge.objects(*FILES)])
        yield edge


@pytest.mark.envoy
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_requests(edge: RunningEdge, file: Path) -> None:
    table = read_table(TEXTS[file], file.name)
    assert table.rows, "an example has a request table in its header"
    failed = [result.message async for result in run_table(table, edge.place()) if not result.passed]
    assert not failed, "\n".join(failed)
