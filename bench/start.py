"""How long does a cold start take? A control plane and an Envoy started together, until every sampled host answers."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.points import Point
from bench.probe import Probe
from bench.processes import Plane, free_ports, proxy, upstream, wait_for_port, write_objects
from bench.worlds import Workload, World, hostname

_SAMPLED = 200


def measure(workload: Workload, routes: int) -> Point:
    """From the start of both processes to the first 200 and to 200 from each of up to 200 hosts."""
    port, answering, xds = free_ports(3)
    with ExitStack() as stack:
        world = World(workload, routes, answering)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng-bench-world-")))
        objects = write_objects(world.objects(), folder / "objects")
        wait_for_port(stack.enter_context(upstream([answering])), answering)
        begin = time.perf_counter()
        plane = stack.enter_context(Plane(port, f"127.0.0.1:{xds}"))
        listening = time.perf_counter() - begin
        process = stack.enter_context(proxy(plane.xds))
        loaded = plane.load(objects)
        wait_for_port(process, port, 120)
        probe = Probe(port)
        probe.until(hostname(0), 200)
        first = time.perf_counter() - begin
        for number in range(0, routes, max(1, routes // _SAMPLED)):
            probe.until(hostname(number), 200)
        values = {
            "listening_s": listening,
            "load_s": loaded,
            "first_200_s": first,
            "all_200_s": time.perf_counter() - begin,
            "cpu_s": plane.usage().cpu,
            "rss_mib": plane.usage().rss,
            "peak_mib": plane.usage().peak,
            "proxy_rss_mib": process.usage().rss,
        }
        probe.close()
    return Point("start", workload, routes, values)
