"""Which numbers are promised? Each target with where its number is found, so that a miss is seen by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """At `routes` Routes of a workload, `value` of a test is at most `limit`."""

    name: str
    test: str
    workload: str
    routes: int
    value: str
    limit: float
    unit: str


TARGETS = (
    Target("compile all Routes", "translate", "W1", 10_000, "full_s", 1.5, "CPU s"),
    Target("compile one Route, p50", "translate", "W1", 1000, "one_route_ms_p50", 1.0, "CPU ms"),
    Target("compile one Route, p50", "translate", "W1", 10_000, "one_route_ms_p50", 1.0, "CPU ms"),
    Target("compile one Route, p50", "translate", "W2", 10_000, "one_route_ms_p50", 1.0, "CPU ms"),
    Target("update seen, p50", "propagation", "W1", 10_000, "update_ms_p50", 200, "ms"),
    Target("create seen, p50", "propagation", "W1", 10_000, "create_ms_p50", 200, "ms"),
    Target("endpoints moved, p50", "propagation", "W1", 1000, "endpoints_ms_p50", 15, "ms"),
    Target("wrong status codes, create", "propagation", "W2", 1000, "create_wrong", 0, ""),
    Target("wrong status codes, update", "propagation", "W2", 1000, "update_wrong", 0, ""),
    Target("wrong status codes, delete", "propagation", "W2", 1000, "delete_wrong", 0, ""),
    Target("control plane's CPU per 100 updates", "propagation", "W1", 10_000, "update_cpu_s_per_100", 1.0, "s"),
    Target("control plane's memory per Route", "propagation", "W1", 10_000, "rss_kb_per_route", 15, "kB"),
    Target("control plane's memory", "propagation", "W1", 1000, "after_load_rss_mib", 90, "MiB"),
    Target("control plane's memory", "propagation", "W2", 1000, "after_load_rss_mib", 120, "MiB"),
    Target("control plane's memory", "propagation", "W1", 10_000, "after_load_rss_mib", 200, "MiB"),
    Target("cold start to all hosts", "start", "W1", 10_000, "all_200_s", 1.6, "s"),
    Target("cold start to all hosts", "start", "W2", 10_000, "all_200_s", 6.0, "s"),
)

UNMEASURED = (
    "p50 of at most 25 ms and p99 of at most 60 ms at every size, which needs sharded route tables",
    "propagation under churn",
    "fan-out to many proxies",
    "reconnect storms",
    "start from the last known good configuration",
    "status writes, idle and noise in a cluster",
    "time series per proxy",
)


def verdicts(points: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Target, float | None]]:
    """Each target with the number measured, None where its point was not."""
    for target in TARGETS:
        found = [
            point["values"].get(target.value)
            for point in points
            if (point["test"], point["workload"], point["routes"]) == (target.test, target.workload, target.routes)
        ]
        yield target, found[0] if found else None
