"""What is a result? Points: one test at one size, with named numbers and, where they were taken, all samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Point:
    """One test at one size. `values` has a number for each name, with the unit at its end; `samples` in their order."""

    test: str
    workload: str
    routes: int
    values: Mapping[str, float]
    samples: Mapping[str, Sequence[float]] = field(default_factory=lambda: MappingProxyType({}))

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "test": self.test,
            "workload": self.workload,
            "routes": self.routes,
            "values": dict(self.values),
            "samples": {name: list(taken) for name, taken in self.samples.items()},
        }


def spread(name: str, samples: Sequence[float]) -> dict[str, float]:
    """`name_p50`, `name_p90`, `name_p99`, `name_max` and `name_mean` of samples; empty without any."""
    if not samples:
        return {}
    ordered = sorted(samples)

    def quantile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {
        f"{name}_p50": quantile(0.5),
        f"{name}_p90": quantile(0.9),
        f"{name}_p99": quantile(0.99),
        f"{name}_max": ordered[-1],
        f"{name}_mean": fmean(ordered),
    }
