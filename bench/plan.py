"""Which points are measured? Those of a profile, or those asked for by TEST, N and SAMPLES."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from bench import propagation, start, translate
from bench.points import Point
from bench.worlds import WORKLOADS, Workload

TESTS = ("translate", "propagation", "null", "start")

_SIZES = {
    "translate": (1000, 5000, 10_000),
    "propagation": (100, 1000, 3000, 10_000),
    "null": (100, 1000, 3000, 10_000),
    "start": (1000, 3000, 10_000),
}
_SAMPLES = {"default": 40, "full": 300}
_OWN_SERVICES_UP_TO = {"default": 1000, "full": 10_000}
"""W2 has a cluster for each Route, which an Envoy takes seconds and hundreds of megabytes for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: tests, sizes (None: those of each test), samples per kind of change, and a profile's limits."""

    profile: str = "default"
    tests: tuple[str, ...] = TESTS
    sizes: tuple[int, ...] | None = None
    samples: int = _SAMPLES["default"]


def plan_of(environment: Mapping[str, str]) -> Plan:
    """Read `PROFILE`, `TEST` (comma-separated), `N` (comma-separated) and `SAMPLES`; ValueError says what is wrong."""
    profile = environment.get("PROFILE") or "default"
    if profile not in _SAMPLES:
        raise ValueError(f"PROFILE={profile} is none of {', '.join(_SAMPLES)}")
    tests = tuple((environment.get("TEST") or ",".join(TESTS)).split(","))
    unknown = [test for test in tests if test not in TESTS]
    if unknown:
        raise ValueError(f"TEST={unknown[0]} is none of {', '.join(TESTS)}")
    sizes = tuple(int(size) for size in environment.get("N", "").split(",") if size) or None
    return Plan(profile, tests, sizes, int(environment.get("SAMPLES") or _SAMPLES[profile]))


def points(plan: Plan) -> Iterator[tuple[str, Callable[[], Point]]]:
    """The points in order: what each is called, and how it is measured."""
    for test in plan.tests:
        for workload in WORKLOADS:
            for routes in plan.sizes or _sizes(plan, test, workload):
                yield f"{test} {workload} {routes}", _measured(plan, test, workload, routes)


def _sizes(plan: Plan, test: str, workload: Workload) -> tuple[int, ...]:
    proxied = test != "translate" and workload == "W2"
    return tuple(n for n in _SIZES[test] if not proxied or n <= _OWN_SERVICES_UP_TO[plan.profile])


def _measured(plan: Plan, test: str, workload: Workload, routes: int) -> Callable[[], Point]:
    match test:
        case "translate":
            return partial(translate.measure, workload, routes, plan.samples)
        case "propagation":
            return partial(propagation.measure, workload, routes, plan.samples)
        case "null":
            return partial(propagation.measure_null, workload, routes, plan.samples)
        case _:
            return partial(start.measure, workload, routes)
