"""Does the operator's chart give it what it needs, and no Secrets beyond those it is allowed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.binaries import CommandError, Tool

CHART = Path(__file__).parents[2] / "charts" / "northgate"
IMAGE = ("--set", "image=northgate:test")


def rendered(helm: Tool, *arguments: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(helm.run("template", "edge", CHART, "-n", "edge", *IMAGE, *arguments)))


def secret_places(documents: list[dict[str, Any]]) -> set[str]:
    return {
        document["metadata"].get("namespace", "everywhere")
        for document in documents
        for rule in document.get("rules", ())
        if "secrets" in rule["resources"]
    }


def test_it_is_clean(any_helm: Tool) -> None:
    any_helm.run("lint", "--strict", CHART, *IMAGE)


def test_everywhere_has_no_secrets_but_its_own(any_helm: Tool) -> None:
    documents = rendered(any_helm)
    assert "ClusterRole" in {document["kind"] for document in documents}
    assert secret_places(documents) == {"edge"}


def test_watched_namespaces_need_no_cluster_role(any_helm: Tool) -> None:
    documents = rendered(any_helm, "--set", "watchNamespaces={a,b},secretNamespaces={a}")
    assert "ClusterRole" not in {document["kind"] for document in documents}
    assert secret_places(documents) == {"edge", "a"}


@pytest.mark.parametrize("value", ["unknown=1", "replicas=1", "image="])
def test_the_schema_refuses(any_helm: Tool, value: str) -> None:
    with pytest.raises(CommandError, match=value.partition("=")[0]):
        rendered(any_helm, "--set", value)


def test_the_schema_has_the_keys_of_the_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) - {"global"} == set(yaml.safe_load((CHART / "values.yaml").read_text()))
