"""How long until a change is seen? Write to first changed response, through a control plane and a real Envoy.

Its null control does the same with a pusher of bytes that are ready: what is left is Envoy's and the probe's.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import Usage
from bench.points import Point, spread
from bench.probe import Probe, Wait
from bench.processes import Envoy, Plane, Talking, free_ports, proxy, upstream, wait_for_port, write_objects
from bench.worlds import Workload, World, hostname

_WARM = 5
_PAUSE = 0.1
"""Seconds between two changes, so that the work of one is over before the next."""


@dataclass(frozen=True, slots=True)
class Rig:
    """What runs: a world in a control plane, its proxy, two ports that answer for every upstream, a probe."""

    world: World
    other: int
    plane: Plane
    proxy: Envoy
    probe: Probe
    idle: Usage
    load_s: float


@dataclass(slots=True)
class Series:
    """The waits of one kind of change, and what the control plane and the proxy used for them."""

    milliseconds: list[float] = field(default_factory=list)
    before: Counter[int] = field(default_factory=Counter)

    def add(self, wait: Wait) -> None:
        """Take in one wait."""
        self.milliseconds.append(wait.seconds * 1e3)
        self.before.update(wait.before)


def measure(workload: Workload, routes: int, samples: int) -> Point:
    """Create, update and delete Routes, flip endpoints: one after the other, at one size."""
    with _rig(workload, routes) as rig:
        last = hostname(routes - 1)
        rig.probe.until(last, 200)
        idle = _idle(rig.probe, last)
        values = {"load_s": rig.load_s, "idle_rss_mib": rig.idle.rss, **spread("probe_ms", idle)}
        values |= _memory("after_load", rig.plane.usage(), rig.proxy.usage())
        values["rss_kb_per_route"] = (rig.plane.usage().rss - rig.idle.rss) * 1024 / routes
        taken = {}
        for name, change, expected in (
            ("create", _create, {404}),
            ("update", _update, {200}),
            ("delete", _delete, {200}),
            ("endpoints", _flip, {200}),
        ):
            series, used = _series(rig, change, samples)
            taken[f"{name}_ms"] = series.milliseconds
            values |= spread(f"{name}_ms", series.milliseconds)
            values |= {f"{name}_{what}": amount for what, amount in used.items()}
            values[f"{name}_wrong"] = sum(count for status, count in series.before.items() if status not in expected)
        values |= _memory("after_changes", rig.plane.usage(), rig.proxy.usage())
        return Point("propagation", workload, routes, values, taken)


def measure_null(workload: Workload, routes: int, samples: int) -> Point:
    """The same update with bytes that are ready."""
    port, answering = free_ports(2)
    with ExitStack() as stack:
        wait_for_port(stack.enter_context(upstream([answering])), answering)
        pusher = stack.enter_context(
            Talking("pusher", "bench.pusher", workload, str(port), str(routes), str(answering))
        )
        process = stack.enter_context(proxy(str(pusher.hear()["xds"])))
        wait_for_port(process, port, 60)
        probe = Probe(port)
        last = hostname(routes - 1)
        probe.until(last, 200)
        series = Series()
        for number in range(_WARM + samples):
            begin = time.perf_counter()
            pusher.tell({"variant": number % 2})
            wait = probe.until(last, 200, tag=f"v{number % 2}", begin=begin)
            if number >= _WARM:
                series.add(wait)
            time.sleep(_PAUSE)
        probe.close()
    return Point("null", workload, routes, spread("update_ms", series.milliseconds), {"update_ms": series.milliseconds})


@contextmanager
def _rig(workload: Workload, routes: int) -> Iterator[Rig]:
    port, answering, other = free_ports(3)
    with ExitStack() as stack:
        world = World(workload, routes, answering)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng-bench-world-")))
        objects = write_objects(world.objects(), folder / "objects")
        wait_for_port(stack.enter_context(upstream((answering, other))), answering)
        plane = stack.enter_context(Plane(port))
        idle = plane.usage()
        load = plane.load(objects)
        process = stack.enter_context(proxy(plane.xds))
        wait_for_port(process, port, 60)
        probe = Probe(port)
        probe.until(hostname(0), 200)
        yield Rig(world, other, plane, process, probe, idle, load)
        probe.close()


def _series(rig: Rig, change: Callable[[Rig, int], Wait], samples: int) -> tuple[Series, dict[str, float]]:
    series = Series()
    before = rig.plane.usage(), rig.proxy.usage()
    for number in range(_WARM + samples):
        if number == _WARM:
            before = rig.plane.usage(), rig.proxy.usage()
        wait = change(rig, number)
        if number >= _WARM:
            series.add(wait)
        time.sleep(_PAUSE)
    after = rig.plane.usage(), rig.proxy.usage()
    used = [(now.cpu - then.cpu) / samples * 100 for then, now in zip(before, after, strict=True)]
    return series, {"cpu_s_per_100": used[0], "proxy_cpu_s_per_100": used[1]}


def _create(rig: Rig, number: int) -> Wait:
    added = rig.world.routes + number
    begin = time.perf_counter()
    rig.plane.change(rig.world.added(added))
    return rig.probe.until(hostname(added), 200, begin=begin)


def _update(rig: Rig, number: int) -> Wait:
    which = number % rig.world.routes
    begin = time.perf_counter()
    rig.plane.change([rig.world.route(which, tag=f"v{number}")])
    return rig.probe.until(hostname(which), 200, tag=f"v{number}", begin=begin)


def _delete(rig: Rig, number: int) -> Wait:
    added = rig.world.routes + number
    begin = time.perf_counter()
    rig.plane.change((), [key for key, _ in rig.world.added(added)])
    return rig.probe.until(hostname(added), 404, begin=begin)


def _flip(rig: Rig, number: int) -> Wait:
    """Move the endpoints of one Service to another port."""
    port = rig.other if number % 2 == 0 else rig.world.upstream
    service = "shared" if rig.world.workload == "W1" else "service-0"
    begin = time.perf_counter()
    rig.plane.change([rig.world.slice(service, port)])
    return rig.probe.until(hostname(0), 200, upstream=str(port), begin=begin)


def _idle(probe: Probe, host: str, requests: int = 2000) -> list[float]:
    """What the probe takes while nothing changes: no wait can be told apart from this."""
    return [probe.ask(host).seconds * 1e3 for _ in range(requests)]


def _memory(when: str, plane: Usage, process: Usage) -> dict[str, float]:
    return {
        f"{when}_rss_mib": plane.rss,
        f"{when}_peak_mib": plane.peak,
        f"{when}_proxy_rss_mib": process.rss,
    }
