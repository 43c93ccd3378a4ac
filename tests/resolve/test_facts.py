"""What is told of Routes and gateways before any proxy is asked."""

from __future__ import annotations

from typing import Any

from tests.core.objects import Put, gateway, route

from northgate.api.conditions import Condition, Status, Type
from northgate.snapshot.edge import Edge

ANSWER = {"respond": {"status": 204}}


def listener(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, "protocol": "HTTP", **more}


def served(*objects: Put) -> Edge:
    edge = Edge()
    edge.apply(objects)
    assert not edge.engine.failures
    return edge


def told(conditions: tuple[Condition, ...], kind: Type) -> Condition | None:
    return next((one for one in conditions if one.type is kind), None)


def conflicts(edge: Edge, name: str) -> list[str | None]:
    """What each parent says of conflicts."""
    parents = edge.compiler.route_facts["default", name].parents
    return [found.message if (found := told(one.conditions, Type.CONFLICTED)) else None for one in parents]


def test_a_conflict_is_told_to_the_parent_it_is_at_with_host_and_port() -> None:
    both = [{"name": "edge"}, {"name": "open"}]
    edge = served(
        gateway(listeners=[listener("narrow", 81, hostname="*.shop.test")]),
        gateway("open", listeners=[listener("wide", 80)]),
        # On the narrow listener both stand for *.shop.test, on the wide one they are different hosts.
        route("any", ANSWER, parentRefs=both),
        route("shop", ANSWER, parentRefs=both, hostnames=["*.shop.test"]),
    )
    assert conflicts(edge, "any") == [None, None]
    [narrow, wide] = conflicts(edge, "shop")
    assert wide is None
    assert narrow == (
        "spec.rules[0].matches[0] is never reached on host *.shop.test, port 81: "
        "Route default/any has an equal match there; make one more specific"
    )


def test_conflicts_are_counted() -> None:
    hosts = ["a.test", "b.test"]
    edge = served(gateway(), route("a", ANSWER, hostnames=hosts), route("b", ANSWER, hostnames=hosts))
    [said] = conflicts(edge, "b")
    assert said is not None
    assert said.startswith("spec.rules[0].matches[0] is never reached on host a.test, port 80 (and 1 more): ")


def test_a_gateway_repeats_what_is_wrong_with_its_listeners() -> None:
    tls = {"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "gone"}]}}
    edge = served(
        gateway(listeners=[listener("a", 80), listener("b", 80), listener("c", 443, **tls)]),
    )
    conditions = edge.compiler.gateway_facts["default", "edge"].conditions
    accepted, resolved = told(conditions, Type.ACCEPTED), told(conditions, Type.RESOLVED_REFS)
    assert accepted is not None
    assert resolved is not None
    assert (accepted.status, accepted.reason) == (Status.TRUE, "ListenersNotValid")
    assert accepted.message.startswith("spec.listeners[1]: ")
    assert accepted.message.endswith("use another hostname or port")
    assert (resolved.status, resolved.reason) == (Status.FALSE, "ListenersNotResolved")
    assert resolved.message.startswith("spec.listeners[2]: ")
    assert "Secret default/gone does not exist" in resolved.message


def test_a_route_counts_once_on_a_gateway_and_only_where_it_is_attached() -> None:
    edge = served(
        gateway(listeners=[listener("a", 80), listener("b", 81, hostname="b.test")]),
        route("everywhere", ANSWER),
        route("here", ANSWER, hostnames=["a.test"]),
        route("nowhere", ANSWER, parentRefs=[{"name": "edge", "sectionName": "c"}]),
    )
    facts = edge.compiler.gateway_facts["default", "edge"]
    assert facts.attached == 2
    assert [(one.name, one.attached) for one in facts.listeners] == [("a", 2), ("b", 1)]
