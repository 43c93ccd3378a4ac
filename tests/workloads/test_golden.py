"""Are the objects of four gateways what they were? One file for each; `--update-golden` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.workloads.conftest import GATEWAYS

from northgate.kube.workloads.children import children

GOLDEN = Path(__file__).parent / "golden"


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Plain.add_representer(str, _Plain.text)


def rendered(name: str) -> str:
    return yaml.dump_all(children(*GATEWAYS[name]), Dumper=_Plain, sort_keys=False, width=110)


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_objects_are_those_in_the_file(name, request):
    path = GOLDEN / f"{name}.yaml"
    if request.config.getoption("--update-golden"):
        path.write_text(rendered(name))
    assert rendered(name) == path.read_text()


def test_there_is_no_file_without_a_gateway():
    assert {path.stem for path in GOLDEN.iterdir()} == set(GATEWAYS)
