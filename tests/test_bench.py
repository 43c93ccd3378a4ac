"""The benchmark measures, and what it writes can be read; how fast anything was is not asked here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.__main__ import run, write
from bench.plan import TESTS, Plan, plan_of, points
from bench.report import markdown
from bench.targets import TARGETS


@pytest.mark.envoy
@pytest.mark.slow
def test_a_small_run_is_written_as_json_and_markdown(envoy_binary: Path, tmp_path: Path) -> None:
    data, text = write(run(Plan(sizes=(50,), samples=3)), tmp_path)
    found = json.loads(data.read_text())
    assert found["schema_version"] == 1
    assert {point["test"] for point in found["points"]} == set(TESTS)
    for point in found["points"]:
        assert point["routes"] == 50
        assert all(isinstance(value, int | float) and value >= 0 for value in point["values"].values())
    update = next(point for point in found["points"] if point["test"] == "propagation")
    assert len(update["samples"]["update_ms"]) == 3
    assert update["values"]["update_wrong"] == 0
    told = text.read_text()
    assert told == markdown(found)
    assert told.count("| W2 | 50 |") == len(TESTS) + 1


def test_targets_are_judged_and_misses_shown() -> None:
    def document(seconds: float) -> dict:
        point = {"test": "translate", "workload": "W1", "routes": 10_000, "values": {"full_s": seconds}}
        machine = {"processor": "p", "cores": 2, "memory_gib": 8, "kernel": "k", "foreign_load_percent": 0.0}
        plan = {"profile": "default", "samples": 1}
        return {"commit": "c", "at": "t", "machine": machine, "plan": plan, "versions": {}, "points": [point]}

    assert "| compile all Routes, W1, 10,000 Routes | 1.5 CPU s | 1.4 CPU s | met |" in markdown(document(1.4))
    assert "| compile all Routes, W1, 10,000 Routes | 1.5 CPU s | 1.6 CPU s | **missed** |" in markdown(document(1.6))


def test_every_target_is_measured_by_the_full_profile() -> None:
    measured = {name for name, _ in points(plan_of({"PROFILE": "full"}))}
    assert {f"{target.test} {target.workload} {target.routes}" for target in TARGETS} <= measured


@pytest.mark.parametrize("wrong", [{"PROFILE": "huge"}, {"TEST": "translate,nothing"}, {"N": "many"}])
def test_a_wrong_plan_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"PROFILE|TEST|invalid literal"):
        plan_of(wrong)
