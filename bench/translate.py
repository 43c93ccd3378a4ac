"""What does the compile cost? All Routes at once, then one change of each kind, in a process of its own.

Seconds are CPU seconds: the compile waits for nothing, and a busy machine does not add to them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

from bench.points import Point, spread
from bench.worlds import Object, Workload, World

from northgate.engine import Derived
from northgate.garbage import loading, look_seldom
from northgate.snapshot.edge import Edge

_WARM = 20


def measure(workload: Workload, routes: int, samples: int) -> Point:
    """The numbers of one size."""
    ran = subprocess.run(
        (sys.executable, "-m", "bench.translate", workload, str(routes), str(samples)),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    values: dict[str, float] = json.loads(ran.stdout)
    return Point("translate", workload, routes, values)


def run(world: World, samples: int) -> dict[str, float]:
    """Measure in this process."""
    edge = Edge()
    objects = [(key, json.loads(json.dumps(document))) for key, document in world.objects()]
    look_seldom()
    with loading():
        begin = time.process_time()
        for key, document in objects:
            edge.world.put(key, document)
        parsed = time.process_time()
        edge.engine.settle()
        settled = time.process_time()
        edge.snapshots.update()
        done = time.process_time()
    values = {
        "parse_s": parsed - begin,
        "compile_s": settled - parsed,
        "collect_s": done - settled,
        "full_s": done - begin,
        "full_us_per_route": (done - begin) / max(1, world.routes) * 1e6,
    }
    for name, change in _changes(world).items():
        values |= _one_by_one(edge, name, change, samples)
    return values


def _changes(world: World) -> dict[str, Callable[[int], list[Object]]]:
    last = world.routes - 1
    service = f"service-{last}" if world.workload == "W2" else "shared"
    return {
        "route": lambda number: [world.route(number % world.routes, tag=f"v{number}")],
        "annotation": lambda number: [_annotated(world.route(last, tag=f"v{last}"), number)],
        "endpoints": lambda number: [world.slice(service, 10_000 + number)],
    }


def _annotated(route: Object, number: int) -> Object:
    key, document = route
    document["metadata"]["annotations"] = {"note": str(number)}
    return key, document


def _one_by_one(edge: Edge, name: str, change: Callable[[int], list[Object]], samples: int) -> dict[str, float]:
    seconds: list[float] = []
    computed = _computed(edge)
    for number in range(samples + _WARM):
        if number == _WARM:
            seconds, computed = [], _computed(edge)
        changed = change(number)
        begin = time.process_time()
        edge.apply(changed)
        seconds.append(time.process_time() - begin)
    found = spread(f"one_{name}_ms", [one * 1e3 for one in seconds])
    found[f"one_{name}_computed"] = (_computed(edge) - computed) / samples
    return found


def _computed(edge: Edge) -> int:
    """How many results were ever computed: that this does not grow with the world is the design's promise."""
    return sum(stage.computed for stage in vars(edge.compiler).values() if isinstance(stage, Derived))


if __name__ == "__main__":
    found = run(World(cast("Workload", sys.argv[1]), int(sys.argv[2])), int(sys.argv[3]))
    print(json.dumps(found))
