"""Kustomize: a patch of one listener or container keeps the others, in whatever order resources are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.binaries import HELM_3, HELM_4, Tool, command
from tests.gitops.readers import GITOPS
from tests.kube.rig.fixtures import or_skip

from northgate.api.kustomize import merge_schema

EXAMPLE = GITOPS / "kustomize"
SCHEMA = "northgate-openapi.json"

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "operator", "namespace": "edge"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "operator",
                        "image": "a",
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    },
                    {"name": "pilot", "image": "b"},
                ],
                "volumes": [{"name": "x", "emptyDir": {}}, {"name": "y", "emptyDir": {}}],
            }
        }
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "edge", "namespace": "edge"},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
}
CONTAINER = {"name": "operator", "image": "new", "env": [{"name": "A", "value": "9"}]}
PATCHES = [
    {
        **DEPLOYMENT,
        "spec": {"template": {"spec": {"containers": [CONTAINER], "volumes": [{"name": "z", "emptyDir": {}}]}}},
    },
    {**SERVICE, "spec": {"ports": [{"port": 443, "targetPort": 8443}]}},
]


@pytest.fixture(params=[HELM_4, HELM_3], ids=lambda package: package.name.rpartition("-")[2])
def kustomize(request: pytest.FixtureRequest) -> Tool:
    """The `kustomize` of two releases of kubectl."""
    tool: Tool = or_skip(lambda: command(request.param, "kubectl"))
    return tool


def built(kustomize: Tool, folder: Path) -> dict[str, Any]:
    """What a folder builds, by kind."""
    return {one["kind"]: one["spec"] for one in yaml.safe_load_all(kustomize.run("kustomize", folder))}


def listeners(spec: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("hostname") for one in spec["listeners"]}


def test_the_committed_schema_is_the_generated_one() -> None:
    assert (EXAMPLE / "fra1" / SCHEMA).read_text() == merge_schema()


def test_only_lists_whose_order_means_nothing_have_a_key() -> None:
    kinds = json.loads(merge_schema())["definitions"]
    assert kinds["dev.northgate.Route"]["properties"]["spec"] == {"type": "object"}
    gateway = kinds["dev.northgate.EdgeGateway"]["properties"]["spec"]["properties"]
    assert {name: block["x-kubernetes-patch-merge-key"] for name, block in gateway.items()} == {"listeners": "name"}


@pytest.mark.parametrize("pop", ["fra1", "ams1"])
def test_an_overlay_changes_one_listener_and_keeps_all(kustomize: Tool, pop: str) -> None:
    base = built(kustomize, EXAMPLE / "base")["EdgeGateway"]
    found = built(kustomize, EXAMPLE / pop)["EdgeGateway"]
    assert found["pop"] == pop
    assert listeners(found) == {**listeners(base), "https": f"*.{pop}.example.com"}
    by_name = {one["name"]: one for one in found["listeners"]}
    assert by_name["https"]["tls"] == base["listeners"][1]["tls"]


@pytest.mark.parametrize("order", [("edge", "operator"), ("operator", "edge")])
def test_in_one_build_with_a_workload_nothing_is_lost(kustomize: Tool, tmp_path: Path, order: tuple[str, str]) -> None:
    pop, operator, whole = (_folder(tmp_path / name) for name in ("edge", "operator", "whole"))
    for name in (SCHEMA, "listener.yaml"):
        (pop / name).write_text((EXAMPLE / "fra1" / name).read_text())
    (pop / "edge.yaml").write_text((EXAMPLE / "base" / "edge.yaml").read_text())
    _build(pop, resources=["edge.yaml"], openapi={"path": SCHEMA}, patches=[{"path": "listener.yaml"}])
    (operator / "operator.yaml").write_text(yaml.safe_dump_all([DEPLOYMENT, SERVICE]))
    _build(operator, resources=["operator.yaml"], patches=[{"patch": yaml.safe_dump(one)} for one in PATCHES])
    _build(whole, resources=[f"../{name}" for name in order])
    found = built(kustomize, whole)
    assert listeners(found["EdgeGateway"]) == {"http": None, "https": "*.fra1.example.com"}
    pod = found["Deployment"]["template"]["spec"]
    containers = {one["name"]: one for one in pod["containers"]}
    assert {name: one["image"] for name, one in containers.items()} == {"operator": "new", "pilot": "b"}
    assert {one["name"]: one["value"] for one in containers["operator"]["env"]} == {"A": "9", "B": "2"}
    assert {one["name"] for one in pod["volumes"]} == {"x", "y", "z"}
    assert {one["port"]: one.get("targetPort") for one in found["Service"]["ports"]} == {80: None, 443: 8443}


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _build(folder: Path, **content: Any) -> None:
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
