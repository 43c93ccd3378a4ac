"""Is a Service there, with endpoints and the port that is asked for? If not, a problem that says what there is."""

from __future__ import annotations

from northgate.api.conditions import Problem, Reason
from northgate.resolve.absence import absent, meant
from northgate.world.store import Name, World

_ALIAS = "ExternalName"


def service_problem(world: World, name: Name, port: int, *, own: bool = True) -> Problem | None:
    """What is wrong with a reference to a TCP port of a Service; None when nothing is. Reads no endpoints.

    `own` says that the reference comes from the Service's namespace.
    """
    entry = world.services.get(name)
    if entry is None:
        beside = world.services_in if own else None
        return Problem((), Reason.BACKEND_NOT_FOUND, absent("Service", name, beside))
    if entry.spec is None:
        fault = f"Service {'/'.join(name)} is invalid: {entry.latest.problems[0]}"
        return Problem((), Reason.BACKEND_NOT_FOUND, fault)
    if entry.spec.type == _ALIAS:
        fault = (
            f"Service {'/'.join(name)} is of type {_ALIAS}, which has no endpoints; use an Upstream with dns instead"
        )
        return Problem((), Reason.INVALID_KIND, fault)
    if entry.spec.port(port) is not None:
        return None
    ports = [str(p.port) for p in entry.spec.ports if p.protocol == "TCP"]
    has = ", ".join(ports) or "none"
    hint = meant(str(port), ports) or "write one of them" if len(ports) > 1 else "correct the port"
    found = f"Service {'/'.join(name)} has no TCP port {port}; it has {has}; {hint}"
    return Problem((), Reason.PORT_NOT_FOUND, found)
