"""Is a Service there, with the port that is asked for? If not, a problem that says what there is instead."""

from __future__ import annotations

from difflib import get_close_matches

from northgate.api.conditions import Problem, Reason
from northgate.world.store import World


def service_problem(world: World, namespace: str, name: str, port: int) -> Problem | None:
    """What is wrong with a reference to a TCP port of a Service; None when nothing is. Reads no endpoints."""
    entry = world.services.get((namespace, name))
    if entry is None or entry.spec is None:
        return Problem((), Reason.BACKEND_NOT_FOUND, f"Service {namespace}/{name} does not exist")
    if entry.spec.port(port) is not None:
        return None
    ports = [str(p.port) for p in entry.spec.ports if p.protocol == "TCP"]
    near = get_close_matches(str(port), ports, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    has = ", ".join(ports) or "none"
    return Problem((), Reason.PORT_NOT_FOUND, f"Service {namespace}/{name} has no TCP port {port}; it has {has}{hint}")
