"""How does a run read? Its document as Markdown: what it ran on, tables by test, targets met and missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.targets import UNMEASURED, Target, verdicts

Document = Mapping[str, Any]
Column = tuple[str, str]
"""A heading and the name of a value; a name with `/` is two values in one cell."""

_TABLES: Mapping[str, tuple[str, tuple[Column, ...]]] = {
    "translate": (
        "Compile, in process: CPU seconds for all Routes, CPU milliseconds for one change",
        (
            ("parse s", "parse_s"),
            ("compile s", "compile_s"),
            ("collect s", "collect_s"),
            ("full s", "full_s"),
            ("us per Route", "full_us_per_route"),
            ("one Route p50 / p99 ms", "one_route_ms_p50/one_route_ms_p99"),
            ("results computed", "one_route_computed"),
            ("annotation p50 ms", "one_annotation_ms_p50"),
            ("endpoints p50 ms", "one_endpoints_ms_p50"),
        ),
    ),
    "propagation": (
        "Change told to first answer that shows it, through a real Envoy: milliseconds",
        (
            ("create p50 / p99", "create_ms_p50/create_ms_p99"),
            ("update p50 / p99", "update_ms_p50/update_ms_p99"),
            ("delete p50 / p99", "delete_ms_p50/delete_ms_p99"),
            ("endpoints p50 / p99", "endpoints_ms_p50/endpoints_ms_p99"),
            ("wrong codes", "create_wrong/update_wrong/delete_wrong/endpoints_wrong"),
            ("CPU s per 100 updates, control plane / Envoy", "update_cpu_s_per_100/update_proxy_cpu_s_per_100"),
            ("idle probe p50 / p99", "probe_ms_p50/probe_ms_p99"),
        ),
    ),
    "null": (
        "The same update without a control plane: bytes that are ready, pushed to Envoy",
        (("update p50 / p99 ms", "update_ms_p50/update_ms_p99"),),
    ),
    "start": (
        "Cold start: control plane and Envoy started together",
        (
            ("listening s", "listening_s"),
            ("objects taken in s", "load_s"),
            ("first 200 s", "first_200_s"),
            ("200 from all sampled hosts s", "all_200_s"),
            ("control plane's CPU s", "cpu_s"),
            ("RSS (peak) MiB", "rss_mib/peak_mib"),
            ("Envoy MiB", "proxy_rss_mib"),
        ),
    ),
}

_MEMORY: tuple[Column, ...] = (
    ("without objects MiB", "idle_rss_mib"),
    ("after load (peak) MiB", "after_load_rss_mib/after_load_peak_mib"),
    ("kB per Route", "rss_kb_per_route"),
    ("after changes (peak) MiB", "after_changes_rss_mib/after_changes_peak_mib"),
    ("Envoy MiB", "after_load_proxy_rss_mib"),
)


_PAGE = """\
# Performance

One run of `make bench`, as it came out; misses are listed with the rest. Numbers of other machines cannot be compared
with these, and neither can runs in which other processes took much of the cores.

W1: every Route has a hostname of its own and all share one Service. W2: every Route also has its own Service with three
endpoints. A Route has two rules, one of them to a Service that does not exist. The control plane runs as a process of
its own; its source is a pipe, so no API server's or file system's time is in these numbers. Envoy has one worker and
gets one route table for all hosts, whose update costs it 15 to 20 us for each host, whatever changed: the row without a
control plane shows what is left of a change when nothing has to be computed.

`PROFILE=full make bench` measures every size with 300 samples, `TEST=translate N=1000 make bench` one point;
`PAGE=docs/performance.md make bench` writes this page.

"""


def page(found: Document) -> str:
    """The report as a page of the documentation."""
    return _PAGE + markdown(found)


def markdown(found: Document) -> str:
    """The whole report."""
    parts = [_heading(found)]
    for test, (title, columns) in _TABLES.items():
        parts += _table(title, [point for point in found["points"] if point["test"] == test], columns)
    measured = [point for point in found["points"] if point["test"] == "propagation"]
    parts += _table("Memory of the control plane and of Envoy", measured, _MEMORY)
    return "\n\n".join((*parts, _targets(found["points"]))) + "\n"


def _heading(found: Document) -> str:
    machine, plan = found["machine"], found["plan"]
    run = f"Commit {found['commit']}, {found['at']}, profile `{plan['profile']}`, {plan['samples']} samples per change."
    hardware = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    system = f"Linux {machine['kernel']}"
    foreign = f"Other processes used {machine['foreign_load_percent']:.0f} % of the cores during the run"
    software = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{run}\n{hardware}, {system}. {foreign}.\n{software}."


def _table(title: str, points: Sequence[Document], columns: Sequence[Column]) -> list[str]:
    if not points:
        return []
    rows = [("workload", "Routes", *(heading for heading, _ in columns))]
    rows.append(tuple("---" for _ in rows[0]))
    rows += [(p["workload"], f"{p['routes']:,}", *(_cell(p["values"], name) for _, name in columns)) for p in points]
    return [f"### {title}", "\n".join(f"| {' | '.join(row)} |" for row in rows)]


def _cell(values: Mapping[str, float], names: str) -> str:
    return " / ".join(_number(values.get(name)) for name in names.split("/"))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _targets(points: Sequence[Document]) -> str:
    found = list(verdicts(points))
    lines = ["### Targets", "| target | at most | measured | |\n| --- | --- | --- | --- |"]
    rows = [_verdict(target, value) for target, value in found if value is not None]
    missing = [f"{target.name} ({target.workload}, {target.routes:,})" for target, value in found if value is None]
    lines[-1] += "".join(f"\n{row}" for row in rows)
    lines.append("Not measured in this run: " + "; ".join((*missing, *UNMEASURED)) + ".")
    return "\n\n".join(lines)


def _verdict(target: Target, value: float) -> str:
    place = f"{target.name}, {target.workload}, {target.routes:,} Routes"
    met = "met" if value <= target.limit else "**missed**"
    return f"| {place} | {target.limit:g} {target.unit} | {_number(value)} {target.unit} | {met} |"
