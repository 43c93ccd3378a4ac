"""Does a rule mean the same in CEL and in Python?"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain

import pytest
from pydantic import ValidationError
from tests.api.models import MODELS
from tests.api.near import valid
from tests.api.openapi import complaints, holds, pruned

from northgate.api.base import CrossRule, Model
from northgate.api.schema import LIST_KEYS, LIST_TYPE, RULES, structural

EXAMPLES = 120
MOST_EXAMPLES = 4000
"""How many are tried before a rule counts as one that nothing keeps, or nothing breaks."""

CASES = [
    pytest.param(model, rule, id=f"{model.__name__}: {rule.message}") for model in MODELS for rule in model.cross_rules
]

_RESERVED = {
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
}
_RESERVED |= {"let", "loop", "package", "namespace", "return", "var", "void", "while"}


def without_rules(model: type[Model]) -> type[Model]:
    return type(model.__name__, (model,), {"cross_rules": (), "__module__": model.__module__})


def free(schema: dict) -> dict:
    """A block's schema without its own rules; lists in it may repeat."""
    fields = {
        name: field | {LIST_TYPE: "atomic"} if LIST_TYPE in field else field
        for name, field in schema["properties"].items()
    }
    return {key: value for key, value in schema.items() if key != RULES} | {"properties": fields}


@cache
def examples(model: type[Model]) -> list[dict]:
    chance = random.Random(model.__name__)
    schema = free(structural(model))
    found = [valid(schema, chance.choice) for _ in range(EXAMPLES)]
    return [*found, *(_repeated(value) for value in found[: EXAMPLES // 4])]


def more_examples(model: type[Model]) -> Iterator[dict]:
    """Those for a rule whose turn has not come among the first ones; a new field of the block changes all of them."""
    chance = random.Random(f"more of {model.__name__}")
    schema = free(structural(model))
    return (valid(schema, chance.choice) for _ in range(MOST_EXAMPLES))


def _repeated(value: dict) -> dict:
    """Random lists seldom repeat an entry."""
    return {name: [*entry, entry[0]] if isinstance(entry, list) and entry else entry for name, entry in value.items()}


@pytest.mark.parametrize(("model", "rule"), CASES)
def test_a_rule_holds_and_breaks_in_cel_exactly_where_it_does_in_python(model: type[Model], rule: CrossRule):
    lenient = without_rules(model)
    verdicts = set()
    for number, value in enumerate(chain(examples(model), more_examples(model))):
        if verdicts == {True, False} and number >= len(examples(model)):
            break
        if any(complaints(free(structural(model)), value)):
            continue
        block = lenient.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
        assert holds(rule.cel, value) == bool(rule.holds(block)), value
        verdicts.add(rule.holds(block))

    assert verdicts == {True, False}, "no example found that keeps and one that breaks the rule"


@pytest.mark.parametrize("model", [model for model in MODELS if model.cross_rules], ids=lambda model: model.__name__)
def test_the_schema_and_the_model_refuse_the_same_blocks(model):
    schema = structural(model)
    for value in examples(model):
        try:
            model.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
        except ValidationError:
            accepted = False
        else:
            accepted = True
        assert accepted == (not any(complaints(schema, pruned(schema, value)))), value


@pytest.mark.parametrize(("model", "rule"), CASES)
def test_a_rule_speaks_of_fields_that_exist_and_escapes_reserved_words(model, rule):
    fields = set(re.findall(r"\bself\.([A-Za-z_]\w*)", rule.cel))
    plain = {re.sub(r"^__(\w+)__$", r"\1", field) for field in fields}

    assert plain <= set(structural(model)["properties"])
    assert not fields & _RESERVED


@pytest.mark.parametrize(("model", "rule"), [case for case in CASES if case.values[1].unique], ids=lambda value: "")
def test_uniqueness_is_the_lists_type_and_costs_no_cel(model, rule):
    schema = structural(model)
    field = schema["properties"][rule.unique.field]

    assert rule.cel not in [spoken["rule"] for spoken in schema.get(RULES, ())]
    assert field[LIST_TYPE] == ("map" if rule.unique.by else "set")
    assert field.get(LIST_KEYS, [""]) == [rule.unique.by]


@pytest.mark.parametrize(("model", "rule"), CASES)
def test_a_message_is_one_line(model, rule):
    assert "\n" not in rule.message
    assert 0 < len(rule.message) <= 256
