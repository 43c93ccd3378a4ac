"""Does the chart of the kinds bring the kinds? The same as crds/, each kept when the release goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.binaries import CommandError, Tool

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "northgate-crds"


def rendered(helm: Tool) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all(helm.run("template", "kinds", CHART))
    return {document["metadata"]["name"]: document for document in documents}


def test_it_brings_the_kinds_and_keeps_them(any_helm: Tool) -> None:
    found = rendered(any_helm)
    for document in found.values():
        annotations = document["metadata"]["annotations"]
        assert annotations.pop("helm.sh/resource-policy") == "keep"
        if not annotations:
            del document["metadata"]["annotations"]
    wanted = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert found == {document["metadata"]["name"]: document for document in wanted}


def test_it_is_clean(any_helm: Tool) -> None:
    any_helm.run("lint", "--strict", CHART)


def test_it_refuses_an_unknown_value(any_helm: Tool) -> None:
    with pytest.raises(CommandError, match="crd"):
        any_helm.run("template", "kinds", CHART, "--set", "crds=false")
