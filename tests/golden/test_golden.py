"""Every example and case has one golden file: what its objects say about themselves, and what the proxies get.

`--update-golden` writes the files anew; a golden file without its case fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.core.objects import Put
from tests.core.test_incremental import fresh_copy, held
from tests.harness.edge import EXAMPLES

from northgate.files.documents import read_documents
from northgate.ops.rendering import SHORT, as_yaml, by_type
from northgate.ops.scenery import UPSTREAMS, endpoint_slices, make_pair, secret
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import SECRET

HERE = Path(__file__).parent
CASES = sorted([*EXAMPLES.glob("*.yaml"), *(HERE.parent / "cases").glob("*.yaml")])
PAIR = make_pair("*.example.test")


def objects(file: Path) -> list[Put]:
    ports = {name: 8000 + number for number, name in enumerate(UPSTREAMS)}
    files = [EXAMPLES / "edge.yaml", file] if file.name != "edge.yaml" else [file]
    documents = [one for each in files for one in read_documents(each.name, each.read_bytes()).documents]
    return [
        *endpoint_slices(ports),
        secret("edge", "example-tls", PAIR),
        *((one.key, one.raw) for one in documents),
    ]


def edge_of(file: Path) -> Edge:
    edge = Edge()
    edge.apply(objects(file))
    assert not edge.engine.failures
    return edge


def condition(found: Any) -> str:
    return f"{found.type}={found.status} {found.reason}" + (f": {found.message}" if found.message else "")


def statuses(edge: Edge) -> dict[str, Any]:
    compiler = edge.compiler
    found: dict[str, Any] = {}
    for name, gateway in sorted(compiler.gateway_facts.items()):
        found[f"EdgeGateway {'/'.join(name)}"] = {
            "conditions": [condition(one) for one in gateway.conditions],
            "listeners": {one.name: [condition(each) for each in one.conditions] for one in gateway.listeners},
        }
    for name, route in sorted(compiler.route_facts.items()):
        found[f"Route {'/'.join(name)}"] = [[condition(each) for each in parent.conditions] for parent in route.parents]
    for name, upstream in sorted(compiler.upstream_facts.items()):
        found[f"Upstream {'/'.join(name)}"] = [condition(each) for each in upstream.conditions]
    return found


def golden(edge: Edge, *, listeners: bool) -> str:
    types = [short for short in SHORT if listeners or short not in ("lds", "sds")]
    resources = {"/".join(name): by_type(edge.resources(name), types) for name in sorted(held(edge))}
    return as_yaml({"statuses": statuses(edge), "resources": resources})


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_golden(file: Path, request: pytest.FixtureRequest) -> None:
    # Listeners are the same for all examples, so only the gateway's own golden file shows them.
    found = golden(edge_of(file), listeners=file.name == "edge.yaml" or file.parent != EXAMPLES)
    path = HERE / f"{file.stem}.golden.yaml"
    if request.config.getoption("--update-golden"):
        path.write_text(found)
    assert path.exists(), f"{path.name} is missing; write it with --update-golden and read it"
    assert found == path.read_text(), "the result changed; if that is meant, --update-golden and read the difference"


def test_no_golden_file_without_its_case() -> None:
    assert {path.name.removesuffix(".golden.yaml") for path in HERE.glob("*.golden.yaml")} == {c.stem for c in CASES}


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_step_by_step_compile_is_the_same(file: Path) -> None:
    edge = Edge()
    for one in reversed(objects(file)):
        edge.apply([one])
    assert held(edge) == held(edge_of(file)) == held(fresh_copy(edge))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_no_key_outside_secrets(file: Path) -> None:
    lines = {line for line in PAIR.key.splitlines() if len(line) > 20 and "-" not in line}
    edge = edge_of(file)
    resources: list[Mapping[str, Any]] = list(held(edge).values())
    elsewhere = b"".join(
        r.body for types in resources for url, rs in types.items() if url != SECRET for r in rs.values()
    )
    shown = json.dumps(statuses(edge)) + golden(edge, listeners=True)
    assert not [line for line in lines if line.encode() in elsewhere or line in shown]
