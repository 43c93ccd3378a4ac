"""Whatever listeners, certificates and Routes come and go: the result is that of a fresh start, and Envoy takes it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.objects import Put
from tests.core.test_incremental import facts, fresh_copy, held
from tests.harness.certificates import TlsPairs
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import GATEWAY, gateway, https, listener, route, secret, services, to

from northgate.deliver.ledger import State
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import LISTENER, ROUTE
from northgate.world.key import ObjectKey

HOSTS = (None, "a.example.test", "b.example.test", "*.example.test", "*.b.example.test")
PORTS = (80, 443, 9000)
EVERYONE = {"from": "All"}


@cache
def _pairs() -> TlsPairs:
    return TlsPairs()


@cache
def _good(name: str) -> Put:
    return secret(name, _pairs().issue("a.example.test", "*.example.test"))


def _bad(name: str) -> Put:
    return secret(name, _pairs().mismatched)


def _shape(number: int, port: int, kind: str, host: str | None, delegated: str | None) -> dict[str, Any]:
    name = f"l{number}"
    named = {} if host is None or kind == "TCP" else {"hostname": host}
    match kind:
        case "HTTPS":
            found = https(name, host, f"s{number % 2}", port=port)
        case "TLS":
            found = listener(name, port, "TLS", tls={"certificateRefs": [{"name": f"s{number % 2}"}]}, **named)
        case "PASS":
            found = listener(name, port, "TLS", tls={"mode": "Passthrough"}, **named)
        case _:
            found = listener(name, port, kind, **named)
    if delegated is not None and kind != "TCP":
        entry = {"namespaces": ["elsewhere"], "hostnames": [delegated]}
        found["allowedRoutes"] = {"namespaces": EVERYONE, "hostnames": [entry]}
    return found


KINDS = st.sampled_from(["HTTP", "HTTPS", "HTTPS", "TLS", "PASS", "PASS", "TCP"])
DELEGATED = st.sampled_from([None, None, "a.example.test", "*.b.example.test"])
SHAPES = st.tuples(st.sampled_from(PORTS), KINDS, st.sampled_from(HOSTS), DELEGATED)
GATEWAYS = st.lists(SHAPES, min_size=1, max_size=5).map(
    lambda shapes: gateway(*(_shape(number, *shape) for number, shape in enumerate(shapes)))
)
RULES = st.sampled_from([to("echo-a"), to("echo-a=1", "missing=1"), to("missing"), {"respond": {"status": 204}}])
ROUTES = st.builds(
    lambda name, section, hosts, rule: route(name, section, *hosts, rule=rule),
    st.sampled_from(["r1", "r2", "r3"]),
    st.sampled_from([None, "l0", "l1", "l2", "l3"]),
    st.lists(st.sampled_from([host for host in HOSTS if host]), max_size=2, unique=True),
    RULES,
)
SECRETS = st.builds(lambda make, name: make(name), st.sampled_from([_good, _good, _bad]), st.sampled_from(["s0", "s1"]))
STEPS = st.lists(st.tuples(st.one_of(GATEWAYS, ROUTES, ROUTES, SECRETS), st.integers(0, 4)), min_size=1, max_size=20)


def _decoded(edge: Edge, type_url: str, kind: type[Message]) -> Iterable[Any]:
    return [kind.FromString(one.body) for one in edge.resources(GATEWAY).get(type_url, {}).values()]


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _refusable(edge: Edge) -> list[Any]:
    """What Envoy refuses: two chains with one name or match, two hosts with one domain."""
    found: list[Any] = []
    for one in _decoded(edge, LISTENER, Listener):
        found += _repeated(chain.name for chain in one.filter_chains)
        found += _repeated(str(chain.filter_chain_match) for chain in one.filter_chains)
    for table in _decoded(edge, ROUTE, RouteConfiguration):
        found += _repeated(domain for host in table.virtual_hosts for domain in host.domains)
    return found


@settings(max_examples=150)
@given(STEPS)
def test_any_edits_lead_where_a_fresh_start_leads(steps: list[tuple[Put, int]]) -> None:
    edge = Edge()
    edge.apply([*services(), gateway(listener("l0", 80))])
    for one, removed in steps:
        edge.apply([] if removed == 0 else [one], [one[0]] if removed == 0 else [])
        assert not edge.engine.failures
        assert not _refusable(edge)
    fresh = fresh_copy(edge)
    assert held(edge) == held(fresh)
    assert facts(edge) == facts(fresh)


@pytest.mark.envoy
async def test_envoy_takes_them_all() -> None:
    drawn = random.Random(7)
    shapes = [
        (port, kind, host, delegated)
        for port in PORTS
        for kind in ("HTTP", "HTTPS", "TLS", "PASS", "TCP")
        for host in HOSTS
        for delegated in (None, "a.example.test")
    ]
    async with RunningEdge(GATEWAY, PORTS) as edge:
        await edge.serve([*edge.scenery(), *services(), gateway(listener("l0", 80))])
        for step in range(60):
            chosen = [_shape(number, *drawn.choice(shapes)) for number in range(drawn.randint(1, 6))]
            section = drawn.choice([None, "l0", "l1", "l2", "l3"])
            hosts = drawn.sample([host for host in HOSTS if host], drawn.randint(0, 2))
            change: list[Put] = [gateway(*chosen), route(f"r{step % 4}", section, *hosts)]
            change.append(drawn.choice([_good, _bad])(drawn.choice(["s0", "s1"])))
            await edge.apply(
                change, [ObjectKey("", "Secret", "edge", drawn.choice(["s0", "s1"]))] if step % 9 == 8 else []
            )
            [report] = edge.plane.proxies(GATEWAY)
            assert not [name for name, one in report.types.items() if one.state is State.REJECTED]
