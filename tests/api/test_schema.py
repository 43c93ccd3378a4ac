"""What becomes of a model in a CRD, and which models are refused?"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from northgate.api.base import Duration, Label, Model, Name, exactly_one, unique
from northgate.api.schema import LIST_KEYS, LIST_TYPE, RULES, UnstructuralError, structural


class Inner(Model):
    """An inner block.

    This paragraph is for readers of the code.
    """

    name: Name
    """Its name."""
    note: Annotated[str, Field(max_length=9)] | None = None


def field(annotation: Any, default: Any = None) -> dict[str, Any]:
    model = type("Outer", (Model,), {"__annotations__": {"some_field": annotation}, "some_field": default})
    return structural(model)["properties"]["someField"]


def refusal(annotation: Any, default: Any = None) -> str:
    with pytest.raises(UnstructuralError) as refused:
        field(annotation, default)
    return str(refused.value)


def test_references_are_written_in_place_and_the_fields_own_words_win():
    class Outer(Model):
        """Outer."""

        inner: Inner | None = None
        """What the field is for,
        on two lines."""
        plain: Inner

    schema = structural(Outer)

    assert schema["required"] == ["plain"]
    assert schema["properties"]["inner"]["description"] == "What the field is for, on two lines."
    assert schema["properties"]["plain"]["description"] == "An inner block."
    assert list(schema["properties"]["inner"]["properties"]) == ["name", "note"]
    assert not {"$ref", "$defs", "title", "default", "additionalProperties"} & set(schema["properties"]["inner"])


def test_rules_ride_along():
    class Choice(Model):
        a: bool | None = None
        b: bool | None = None

        cross_rules = (exactly_one("a", "b"),)

    (rule,) = structural(Choice)[RULES]

    assert rule == {
        "rule": "(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) == 1",
        "message": "set exactly one of: a, b",
    }


def test_rules_of_a_block_and_of_its_field_add_up():
    class Choice(Model):
        a: bool | None = None

        cross_rules = (exactly_one("a"),)

    class Outer(Model):
        choice: Annotated[Choice, Field(json_schema_extra={RULES: [{"rule": "true", "message": "more"}]})]

    assert [rule["message"] for rule in structural(Outer)["properties"]["choice"][RULES]] == [
        "set exactly one of: a",
        "more",
    ]


def test_uniqueness_is_a_list_type():
    class Outer(Model):
        words: tuple[Label, ...] | None = None
        blocks: tuple[Inner, ...]
        rest: tuple[Label, ...]

        cross_rules = (unique("words"), unique("blocks", by="name"))

    schema = structural(Outer)

    assert RULES not in schema
    assert schema["properties"]["words"][LIST_TYPE] == "set"
    assert (schema["properties"]["blocks"][LIST_TYPE], schema["properties"]["blocks"][LIST_KEYS]) == ("map", ["name"])
    assert schema["properties"]["rest"][LIST_TYPE] == "atomic"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Literal["one"], {"type": "string", "enum": ["one"]}),
        (Literal[1, 2], {"type": "integer", "enum": [1, 2]}),
        (Annotated[int, Field(gt=0, lt=5)], {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 5}),
        (int | str, {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Annotated[frozenset[Label], Field(max_length=3)], {"type": "array", "maxItems": 3, LIST_TYPE: "set"}),
        (Annotated[str, Field(min_length=0, max_length=3)] | None, {"type": "string", "maxLength": 3}),
        (Annotated[dict[str, Duration], Field(max_length=2)], {"type": "object", "maxProperties": 2}),
    ],
    ids=str,
)
def test_types(annotation, expected):
    schema = field(annotation)

    assert {key: schema.get(key) for key in expected} == expected
    assert "minLength" not in schema


def test_a_scalar_keeps_its_default():
    assert field(Literal["a", "b"], "a")["default"] == "a"


def test_the_keys_of_a_map_are_checked_by_cel():
    (rule,) = field(dict[Label, Label])[RULES]

    assert rule["rule"] == r"self.all(key, size(key) <= 63 && key.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))"


class Recursive(Model):
    """A block that contains itself."""

    inner: Recursive | None = None


@pytest.mark.parametrize(
    ("annotation", "default", "why"),
    [
        (str | bool, None, "a union has no structural form"),
        (Annotated[int, Field(ge=1)] | str, None, "int | str carries no bounds"),
        (tuple[int, str], None, "prefixItems"),
        (Any, None, "type None has no structural form"),
        (dict[str, Any], None, "a map of untyped values"),
        (dict, None, "a map of untyped values"),
        (Recursive, None, "Recursive contains itself"),
        (tuple[Label, ...], ("a",), "only scalars and enums have defaults"),
        (frozenset[Inner], None, "only scalars can be a set"),
        (bytes, None, "format binary"),
        (timedelta, None, "format duration"),
    ],
    ids=str,
)
def test_what_has_no_structural_form_is_refused_by_path(annotation, default, why):
    message = refusal(annotation, default)

    assert message.startswith("someField")
    assert why in message


def test_a_default_in_a_list_is_refused():
    class Entry(Model):
        size: int = 5

    assert refusal(tuple[Entry, ...]).startswith("someField.*.size: a default inside a list")


def test_the_key_of_a_list_must_be_required():
    class Outer(Model):
        blocks: tuple[Inner, ...]

        cross_rules = (unique("blocks", by="note"),)

    with pytest.raises(UnstructuralError, match="the key note of a list must be a required field"):
        structural(Outer)
