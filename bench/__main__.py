"""What does `make bench` do? Measures the points of its plan and writes them to `bench/results/`, as JSON and Markdown.

`PROFILE=full` measures all sizes with more samples; `TEST=translate,start N=1000 SAMPLES=50` chooses points.
`PAGE=docs/performance.md` also writes the page of the documentation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import CpuTime, commit, foreign_load, machine, versions
from bench.plan import Plan, plan_of, points
from bench.points import SCHEMA_VERSION
from bench.report import markdown, page

RESULTS = Path(__file__).parent / "results"


def run(plan: Plan) -> dict[str, Any]:
    """Measure everything; the document that is written."""
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "plan": {"profile": plan.profile, "tests": plan.tests, "sizes": plan.sizes, "samples": plan.samples},
        "points": [],
    }
    since = CpuTime.now()
    for name, measured in points(plan):
        begin = time.perf_counter()
        found["points"].append(measured().document())
        print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    found["machine"]["foreign_load_percent"] = foreign_load(since)
    return found


def write(found: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write `<time>.json` and `<time>.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(found["at"]).replace(":", "").replace("+0000", "Z")
    paths = folder / f"{stem}.json", folder / f"{stem}.md"
    paths[0].write_text(json.dumps(found, indent=1) + "\n")
    paths[1].write_text(markdown(found))
    return paths


def main() -> None:
    """Measure, write, say where."""
    try:
        plan = plan_of(os.environ)
    except ValueError as error:
        sys.exit(str(error))
    found = run(plan)
    for path in write(found, Path(os.environ.get("RESULTS") or RESULTS)):
        print(path)
    if os.environ.get("PAGE"):
        Path(os.environ["PAGE"]).write_text(page(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
