"""Does the proxy take whatever validation lets pass? Random objects that read well, before a real Envoy."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from tests.api.near import valid
from tests.bad_input.cases import HERE
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.api.parse import parse
from northgate.api.route import RouteSpec
from northgate.api.schema import Schema, structural
from northgate.api.upstream import UpstreamSpec
from northgate.world.key import ObjectKey

pytestmark = [pytest.mark.envoy, pytest.mark.slow]

OBJECTS = 240
AT_ONCE = 8
RULE = structural(RouteSpec)["properties"]["rules"]["items"]["properties"]
UPSTREAM = structural(UpstreamSpec)["properties"]
ACTIONS = ("redirect", "respond", "reset", "drop")
SOURCES: Mapping[str, Any] = {
    "static": [{"address": "127.0.0.1", "port": 9}],
    "dns": {"hostname": "localhost", "port": 9},
    "services": [{"name": "forged", "port": 80, "weight": 3}],
}
STEADY = {"kind": "Upstream", "name": "steady"}

Document = tuple[ObjectKey, dict[str, Any]]


def declared(kind: str, name: str, spec: Any) -> Document:
    metadata = {"name": name, "namespace": "bad"}
    key = ObjectKey("northgate.dev", kind, "bad", name)
    return key, {"apiVersion": "northgate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def blocks(fields: Mapping[str, Schema], chance: random.Random, but: tuple[str, ...]) -> dict[str, Any]:
    """Some of the fields, each with a value its schema accepts."""
    found: dict[str, Any] = {}
    for name, schema in fields.items():
        if name not in but and chance.random() < 0.3:
            # Some blocks are so narrow that chance finds none.
            with suppress(AssertionError):
                found[name] = valid(schema, chance.choice)
    return found


def rule(chance: random.Random) -> dict[str, Any]:
    """A rule with backends that exist, or one that answers by itself."""
    if chance.random() < 0.3:
        action = chance.choice(ACTIONS)
        return {**blocks(RULE, chance, ("backendRefs", *ACTIONS)), action: valid(RULE[action], chance.choice)}
    found = blocks(RULE, chance, ("backendRefs", *ACTIONS))
    if "mirror" in found:
        found["mirror"]["backendRef"] = STEADY
    return {**found, "backendRefs": [{**STEADY, "weight": chance.randrange(3)} for _ in range(chance.randint(1, 3))]}


def upstream(chance: random.Random) -> dict[str, Any]:
    """An Upstream whose endpoints exist."""
    source = chance.choice(tuple(SOURCES))
    return {**blocks(UPSTREAM, chance, (*SOURCES, "tls")), source: SOURCES[source]}


def objects(chance: random.Random) -> Iterator[Document]:
    """Routes and Upstreams that can be read, each Upstream with a Route that uses it."""
    number = 0
    while number < OBJECTS:
        name = f"random-{number}"
        backends = [{"kind": "Upstream", "name": name}]
        sent = number % 3 == 0
        rules = [{"backendRefs": backends}] if sent else [rule(chance) for _ in range(2)]
        parents = [{"name": "edge", "namespace": "edge"}]
        spec = {"parentRefs": parents, "hostnames": [f"{name}.test"], "rules": rules}
        pair = [declared("Route", name, spec)]
        if sent:
            pair.append(declared("Upstream", name, upstream(chance)))
        if all(parse("northgate.dev", key.kind, document).spec is not None for key, document in pair):
            number += 1
            yield from pair


async def test_what_validation_accepts_the_proxy_accepts():
    seed = random.randrange(1 << 32)
    everything = list(objects(random.Random(seed)))
    async with RunningEdge() as edge:
        good = [*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", HERE / "base.yaml")]
        await edge.serve(good)
        for begin in range(0, len(everything), AT_ONCE):
            batch = everything[begin : begin + AT_ONCE]
            edge.plane.take(batch)
            try:
                await asyncio.wait_for(edge.plane.synced(edge.gateway), 15)
            except TimeoutError:
                specs = "\n".join(json.dumps(document["spec"]) for _, document in batch)
                refused = [report.last_rejection for report in edge.plane.proxies(edge.gateway)]
                pytest.fail(f"seed {seed}: {refused}\n{specs}")
        assert edge.plane.edge.engine.failures == {}, seed
        rejected = await edge.envoy.stats("update_rejected")
        assert {name: count for name, count in rejected.items() if count} == {}
