"""Are the CRDs ones an API server takes, people can read, and GitOps tools can live with?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import re2
import yaml

from northgate.api.crds import KINDS, LARGEST, definition, generate, write
from northgate.api.parse import GROUP, SPECS, VERSION
from northgate.api.schema import LIST_KEYS, LIST_TYPE, RULES, Schema

CRDS = Path(__file__).parents[2] / "crds"

_KEYWORDS = {
    *("type", "description", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minProperties", "maxProperties", "default"),
    *("required", "properties", "additionalProperties", "items", LIST_TYPE, LIST_KEYS, RULES),
    *("x-kubernetes-int-or-string", "anyOf"),
}
_BOOLEANS = {"y", "n", "yes", "no", "on", "off", "true", "false"}
_MOST_NESTED = 64
_BUDGET = 10_000_000
_BUDGET_OF_ALL = 100_000_000


def walk(schema: Schema, path: str, times: int = 1) -> Iterator[tuple[str, Schema, int]]:
    """Every schema below a path, and how often it may occur in one object."""
    yield path, schema, times
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}", times)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]", times * schema.get("maxItems", _BUDGET))
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*", times * schema.get("maxProperties", _BUDGET))


def root(kind) -> Schema:
    return definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def below(kind) -> list[tuple[str, Schema, int]]:
    parts = root(kind)["properties"]
    return [found for part in ("spec", "status") for found in walk(parts[part], part)]


EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def test_the_committed_files_are_what_the_models_generate():
    committed = {path.name: path.read_text(encoding="utf-8") for path in CRDS.iterdir()}

    assert committed == generate(), "run: northgate crds print --output crds"


def test_generating_twice_gives_the_same_bytes():
    assert generate() == generate()


def test_writing_makes_the_directory(tmp_path):
    written = write(tmp_path / "new")

    assert {path.name: path.read_text(encoding="utf-8") for path in written} == generate()
    assert all(path.parent == tmp_path / "new" for path in written)


def test_every_kind_that_is_read_has_a_crd():
    assert {kind.name: kind.spec for kind in KINDS} == SPECS


@EACH
def test_yaml_and_definition_say_the_same(kind):
    assert yaml.safe_load(generate()[f"{GROUP}_{kind.plural}.yaml"]) == definition(kind)


@EACH
def test_names_columns_and_subresources(kind):
    crd = definition(kind)
    (version,) = crd["spec"]["versions"]

    assert crd["metadata"]["name"] == f"{kind.plural}.{GROUP}"
    assert crd["spec"]["names"]["categories"] == ["northgate"]
    assert f"{crd['spec']['group']}/{version['name']}" == VERSION
    assert version["subresources"] == {"status": {}}
    assert version["additionalPrinterColumns"][-1]["name"] == "Age"
    assert len({column["name"] for column in version["additionalPrinterColumns"]}) == len(kind.columns)


def test_short_names():
    shorts = {kind.name: kind.short for kind in KINDS}

    assert (shorts["EdgeGateway"], shorts["Route"], shorts["Upstream"]) == ("egw", "ngr", "ngu")
    assert len(set(shorts.values())) == len(KINDS)


@EACH
def test_columns_point_at_fields_of_the_schema(kind):
    for column in kind.columns:
        schema = root(kind)
        for step in re.findall(r"\.([A-Za-z]+)", column.path.split("[?", maxsplit=1)[0]):
            if step == "metadata":
                break
            schema = schema.get("items", schema)["properties"][step]


@EACH
def test_a_new_object_is_not_taken_for_a_finished_one(kind):
    status = root(kind)["properties"]["status"]

    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["observedGeneration"]["minimum"] == -1


@EACH
def test_conditions_are_a_map_by_type(kind):
    conditions = [schema for path, schema, _ in below(kind) if path.endswith(".conditions")]

    assert conditions
    assert all((c[LIST_TYPE], c[LIST_KEYS], c["maxItems"]) == ("map", ["type"], 8) for c in conditions)


@EACH
def test_a_crd_fits_into_an_annotation(kind):
    assert len(json.dumps(definition(kind))) < LARGEST


@EACH
def test_schemas_are_structural(kind):
    for path, schema, _ in below(kind):
        assert set(schema) <= _KEYWORDS, path
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), path
        assert schema.get("type") != "array" or LIST_TYPE in schema, path
        assert "default" not in schema or "[]" not in path, path


@EACH
def test_everything_is_bounded(kind):
    for path, schema, _ in below(kind):
        match schema.get("type"):
            case "string":
                assert "maxLength" in schema or "enum" in schema, path
            case "array":
                assert "maxItems" in schema, path
            case "integer" | "number":
                assert "enum" in schema or {"minimum", "maximum"} <= set(schema), path
            case "object":
                assert "additionalProperties" not in schema or "maxProperties" in schema, path


@EACH
def test_bounds_are_numbers_that_floating_point_keeps(kind):
    for path, schema, _ in below(kind):
        assert all(abs(schema.get(bound, 0)) < 1 << 53 for bound in ("minimum", "maximum")), path


@EACH
def test_every_property_is_documented_on_one_line(kind):
    for path, schema, _ in below(kind):
        for name, inner in schema.get("properties", {}).items():
            words = inner.get("description", "")
            assert len(words) > len("word"), f"{path}.{name}"
            assert "\n" not in words, f"{path}.{name}"
            assert "  " not in words, f"{path}.{name}"


@EACH
def test_no_word_is_a_boolean_to_readers_of_yaml(kind):
    for path, schema, _ in below(kind):
        words = {*schema.get("properties", ()), *(str(value) for value in schema.get("enum", ()))}
        conditions = {"True", "False"} if path.endswith(".conditions[].status") else set()
        assert not {word for word in words - conditions if word.lower() in _BOOLEANS}, path


@EACH
def test_patterns_are_anchored_and_of_the_common_syntax(kind):
    for path, schema, _ in below(kind):
        pattern = schema.get("pattern")
        if pattern is not None:
            re2.compile(pattern)
            assert (pattern[0], pattern[-1]) == ("^", "$"), path
            assert "(?" not in pattern, path
            assert "|" not in _outside_of_groups(pattern), f"{path}: put the alternatives into a group"


def _outside_of_groups(pattern: str) -> str:
    depth, outside = 0, ""
    for token in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|.", pattern):
        depth += (token == "(") - (token == ")")
        outside += token if depth == 0 else ""
    return re.sub(r"\[\^?\]?(?:\\.|[^\]])*\]", "", outside)


def test_alternatives_outside_of_groups_are_seen():
    assert "|" in _outside_of_groups("^a|b$")
    assert "|" not in _outside_of_groups("^(a|b)[|]$")


def test_the_name_of_the_pop_cannot_change():
    (rule,) = root(KINDS[0])["properties"]["spec"]["properties"]["pop"][RULES]

    assert rule["rule"] == "self == oldSelf"


@EACH
def test_rules_have_messages(kind):
    for path, schema, _ in below(kind):
        for rule in schema.get(RULES, ()):
            assert 0 < len(rule["message"]) <= 2048, path
            assert "\n" not in rule["message"], path


@EACH
def test_rules_stay_within_the_api_servers_budget(kind):
    """An upper estimate: steps of the expression times the text it may read times how often the block may occur."""
    costs = {
        f"{path}: {rule['rule']}": _cost(rule["rule"], schema) * times
        for path, schema, times in below(kind)
        for rule in schema.get(RULES, ())
    }

    assert {rule: cost for rule, cost in costs.items() if cost > _BUDGET} == {}
    assert sum(costs.values()) < _BUDGET_OF_ALL


def _cost(rule: str, schema: Schema) -> float:
    steps = len(re.findall(r"[A-Za-z_]\w*|==|!=|<=|>=|&&|\|\||[+!?<>]", rule))
    text = max((inner.get("maxLength", 64) for inner in schema.get("properties", {}).values()), default=64)
    reads = len(re.findall(r"matches|startsWith|endsWith|contains", rule)) * text * 0.1 * 4
    loops = list(_looped(rule, schema))
    nested = "exists_one" in rule or ".exists(" in rule
    assert not nested or all(size <= _MOST_NESTED for size in loops), rule
    rounds = max(loops, default=1)
    return (steps + reads) * rounds * (rounds if nested else 1)


def _looped(rule: str, schema: Schema) -> Iterator[int]:
    if "self.all(" in rule:
        yield schema["maxProperties"]
    for name in re.findall(r"self\.(\w+)\.(?:all|exists|map|filter)", rule):
        yield schema["properties"][name]["maxItems"]
