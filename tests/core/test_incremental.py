"""The compile at the cost of the change: what is recomputed, and that the result is always that of a fresh compile."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.objects import PUTS, Put, endpoints, gateway, put, route, service, to

from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from northgate.world.key import ObjectKey

Held = Mapping[tuple[str, str], Mapping[str, Mapping[str, Resource]]]


def held(edge: Edge) -> dict[Any, Any]:
    """All resources by gateway, type and name, without empty places."""
    found = {
        name: {type_url: dict(resources) for type_url, resources in types.items() if resources}
        for name, types in edge.snapshots.resources.items()
    }
    return {name: types for name, types in found.items() if types}


def facts(edge: Edge) -> list[Any]:
    stages = (edge.compiler.route_facts, edge.compiler.gateway_facts, edge.compiler.upstream_facts)
    return [dict(stage.items()) for stage in stages]


def fresh_copy(edge: Edge) -> Edge:
    """A new edge with the same world, last good versions included."""
    copy = Edge()
    for name in (
        "gateways",
        "routes",
        "upstreams",
        "services",
        "slices",
        "secrets",
        "config_maps",
        "namespaces",
        "grants",
    ):
        for key, entry in getattr(edge.world, name).items():
            getattr(copy.world, name).put(key, entry)
    copy.apply(())
    return copy


def edge_with(puts: Iterable[Put]) -> Edge:
    edge = Edge()
    edge.apply(puts)
    assert not edge.engine.failures
    return edge


STEPS = st.lists(st.tuples(PUTS, st.booleans(), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=300)
@given(STEPS)
def test_incremental_equals_full_after_any_edits(steps: list[tuple[Put, bool, bool]]) -> None:
    edge = Edge()
    edge.apply([gateway()])
    pending: list[Put] = []
    removed: list[ObjectKey] = []
    for one, remove, settle in steps:
        if remove:
            removed.append(one[0])
        else:
            pending.append(one)
        if settle:
            edge.apply(pending, removed)
            pending, removed = [], []
    edge.apply(pending, removed)
    assert not edge.engine.failures
    full = fresh_copy(edge)
    assert held(edge) == held(full)
    assert facts(edge) == facts(full)


@settings(max_examples=100)
@given(st.lists(PUTS, max_size=25, unique_by=lambda one: one[0]), st.randoms(use_true_random=False))
def test_order_of_events_means_nothing(puts: list[Put], rng: random.Random) -> None:
    objects = list({key: (key, document) for key, document in (gateway(), *puts)}.values())
    shuffled = list(objects)
    rng.shuffle(shuffled)
    assert held(edge_with(objects)) == held(edge_with(shuffled))


@settings(max_examples=100)
@given(st.lists(PUTS, max_size=25))
def test_nothing_refers_to_what_is_not_there(puts: list[Put]) -> None:
    edge = edge_with([gateway(), *puts])
    for types in held(edge).values():
        clusters = types.get(CLUSTER, {})
        for type_url in (ROUTE, LISTENER):
            for resource in types.get(type_url, {}).values():
                assert resource.depends <= clusters.keys()
        for cluster in clusters.values():
            assert cluster.depends <= types.get(ENDPOINT, {}).keys()
        assert set(types.get(ENDPOINT, {})) == set().union(*(cluster.depends for cluster in clusters.values()))


@settings(max_examples=100)
@given(st.lists(PUTS, max_size=20), PUTS)
def test_deltas_lead_from_one_state_to_the_next(puts: list[Put], last: Put) -> None:
    edge = Edge()
    copy: dict[Any, Any] = {}
    for one in [gateway(), *puts, last]:
        for name, delta in edge.apply([one]).items():
            for type_url, part in delta.types.items():
                place = copy.setdefault(name, {}).setdefault(type_url, {})
                assert part.removed <= place.keys()
                for gone in part.removed:
                    del place[gone]
                place.update(part.changed)
    assert held(edge) == {name: kept for name, types in copy.items() if (kept := {t: r for t, r in types.items() if r})}


def counters(edge: Edge) -> dict[str, int]:
    compiler = edge.compiler
    stages = (
        compiler.gateways,
        compiler.parents,
        compiler.backends,
        compiler.rankings,
        compiler.host_tables,
        compiler.routes,
        compiler.virtual_hosts,
        compiler.listeners,
        compiler.clusters,
        compiler.assignments,
        compiler.route_facts,
    )
    return {stage.name: stage.computed for stage in stages}


def difference(edge: Edge, before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in counters(edge).items() if count != before[name]}


def many(count: int) -> Edge:
    hosts = (route(f"r{i}", to("web", "/a"), hostnames=[f"h{i}.example"]) for i in range(count))
    return edge_with([gateway(), service("web"), endpoints("web", "10.0.0.1"), *hosts])


@pytest.mark.parametrize("count", [100, 2_000])
def test_one_changed_route_is_translated_alone_however_many_there_are(count: int) -> None:
    edge = many(count)
    before = counters(edge)
    deltas = edge.apply([route("r7", to("web", "/b"), hostnames=["h7.example"])])
    assert difference(edge, before) == {
        "attachment": 1,
        "backends": 1,
        "rankings": 1,
        "host tables": 1,
        "routes": 1,
        "virtual hosts": 1,
        "route facts": 1,
    }
    assert {url: len(part.changed) for url, part in deltas["default", "edge"].types.items()} == {ROUTE: 1}


def test_a_changed_endpoint_touches_no_route() -> None:
    edge = many(50)
    before = counters(edge)
    deltas = edge.apply([endpoints("web", "10.0.0.2")])
    assert difference(edge, before) == {"assignments": 1}
    assert {url: len(part.changed) for url, part in deltas["default", "edge"].types.items()} == {ENDPOINT: 1}


def test_in_a_large_namespace_a_new_service_touches_no_broken_reference() -> None:
    services = [service(f"s{i}") for i in range(100)]
    broken = [route(f"r{i}", to("s"), hostnames=[f"h{i}.example"]) for i in range(20)]
    edge = edge_with([gateway(), *services, *broken])
    before = counters(edge)
    edge.apply([service("s100")])
    assert difference(edge, before) == {}
    edge.apply([service("s")])
    assert difference(edge, before)["backends"] == len(broken)


@pytest.mark.parametrize(
    "change",
    [{"annotations": {"touched": "yes"}}, {"managedFields": [{"manager": "x"}]}, {"resourceVersion": "77"}],
    ids=lambda change: next(iter(change)),
)
def test_metadata_recompiles_nothing(change: dict[str, Any]) -> None:
    edge = many(20)
    before = counters(edge)
    key, document = route("r3", to("web", "/a"), hostnames=["h3.example"])
    document = {**document, "metadata": {**document["metadata"], **change}, "status": {"conditions": []}}
    assert edge.apply([(key, document)]) == {}
    assert difference(edge, before) == {}


def test_rules_of_many_routes_share_one_cluster() -> None:
    edge = many(50)
    assert list(held(edge)["default", "edge"][CLUSTER]) == ["default/web/80"]


def test_a_bad_version_keeps_the_last_good_one() -> None:
    edge = many(3)
    before = held(edge)
    edge.apply(
        [
            route(
                "r1",
                to("web", "/a", rewrite={"path": {"regex": {"pattern": "(", "substitution": ""}}}),
                hostnames=["h1.example"],
            )
        ]
    )
    edge.apply([put("Route", "r2", {"parentRefs": [], "rules": "none"})])
    assert held(edge) == before
    conditions = edge.compiler.route_facts[("default", "r1")].parents[0].conditions
    assert any(
        c.message.startswith("Fall Back to generation 1: spec.rules[0].rewrite.path.regex.pattern") for c in conditions
    )
