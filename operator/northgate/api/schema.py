"""What does a model look like to an API server? pydantic's JSON Schema as a Kubernetes structural schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import cleandoc
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from northgate.api.base import CrossRule, Model
from northgate.api.conditions import Path, dotted

Schema = dict[str, Any]

RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
INT_OR_STRING = "x-kubernetes-int-or-string"

_SCALARS = ("string", "integer", "number", "boolean")
_KEPT = (
    *("description", "type", "format", "enum", "pattern", "minLength", "maxLength"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "default", "required"),
    *("properties", "additionalProperties", "items", LIST_TYPE, LIST_KEYS, INT_OR_STRING, "anyOf", RULES),
)
"""Keywords a structural schema knows, in the order they are written."""
_FORMATS = ("int32", "int64", "date-time")
_RULE_KEYS = ("rule", "message", "reason", "fieldPath")


class UnstructuralError(TypeError):
    """A model uses a type no structural schema can express. The text begins with the field's path."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    definitions: Mapping[str, Schema]
    inside: tuple[str, ...] = ()
    in_list: bool = False

    def at(self, step: str) -> _Place:
        return replace(self, path=(*self.path, step))

    def refuse(self, why: str) -> UnstructuralError:
        return UnstructuralError(f"{dotted(self.path) or 'the model'}: {why}")


class _WithRules(GenerateJsonSchema):
    """JSON Schema that carries each model's cross-field rules along."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        found = super().model_schema(schema)
        rules: tuple[CrossRule, ...] = getattr(schema["cls"], "cross_rules", ())
        spoken = [{"rule": rule.cel, "message": rule.message} for rule in rules if rule.unique is None]
        if spoken:
            found[RULES] = spoken
        for rule in rules:
            if rule.unique is not None:
                found["properties"][rule.unique.field].update(_list_type(rule.unique.by))
        return found


def _list_type(by: str) -> Schema:
    return {LIST_TYPE: "map", LIST_KEYS: [by]} if by else {LIST_TYPE: "set"}


@lru_cache(maxsize=256)
def structural(model: type[Model]) -> Schema:
    """The structural schema of a model, with everything it refers to written in place.

    Callers must not change it. Raises `UnstructuralError` for types an API server has no schema for: unions other than
    an optional value or `int | str`, tuples of fixed shape, untyped values, recursion.
    """
    generated = model.model_json_schema(by_alias=True, schema_generator=_WithRules)
    return _node(generated, _Place((), generated.pop("$defs", {})))


def _node(schema: Schema, place: _Place) -> Schema:
    schema, place = _inlined(schema, place)
    schema.pop("title", None)
    schema = _bounds(_constant(_described(_defaulted(schema, place))))
    match schema.get("type"):
        case "object":
            schema = _object(schema, place)
        case "array":
            schema = _array(schema, place)
        case kind if kind not in _SCALARS and INT_OR_STRING not in schema:
            raise place.refuse(f"type {kind!r} has no structural form")
    if schema.get("format", "int64") not in _FORMATS:
        raise place.refuse(f"format {schema['format']} is read differently elsewhere; use a string type with a pattern")
    unknown = sorted(set(schema) - set(_KEPT))
    if unknown:
        raise place.refuse(f"{', '.join(unknown)} has no structural form")
    if RULES in schema:
        schema[RULES] = [{key: rule[key] for key in _RULE_KEYS if key in rule} for rule in schema[RULES]]
    return {key: schema[key] for key in _KEPT if key in schema}


def _inlined(schema: Schema, place: _Place) -> tuple[Schema, _Place]:
    """The schema with references followed and `X | None` replaced by X; what stands beside them wins."""
    while "$ref" in schema or "anyOf" in schema:
        around = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in place.inside:
                raise place.refuse(f"{name} contains itself, which has no structural form")
            place = replace(place, inside=(*place.inside, name))
            schema = _merged(place.definitions[name], around)
            continue
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        if len(branches) == 1:
            schema = _merged(branches[0], around)
        elif sorted(branch.get("type", "") for branch in branches) == ["integer", "string"]:
            return _int_or_string(branches, around, place), place
        else:
            raise place.refuse("a union has no structural form; use one optional field per variant and exactly_one")
    return dict(schema), place


def _merged(inner: Schema, around: Schema) -> Schema:
    merged = inner | around
    if RULES in inner and RULES in around:
        merged[RULES] = [*inner[RULES], *around[RULES]]
    return merged


def _int_or_string(branches: list[Schema], around: Schema, place: _Place) -> Schema:
    if any(len(branch) > 1 for branch in branches):
        raise place.refuse("int | str carries no bounds in a structural schema")
    return around | {INT_OR_STRING: True, "anyOf": [{"type": "integer"}, {"type": "string"}]}


def _defaulted(schema: Schema, place: _Place) -> Schema:
    if schema.get("default") is None:
        schema.pop("default", None)
    elif place.in_list:
        raise place.refuse("a default inside a list never settles in GitOps tools; apply it in resolve")
    elif not isinstance(schema["default"], str | int | float | bool):
        raise place.refuse("only scalars and enums have defaults")
    return schema


def _described(schema: Schema) -> Schema:
    """The first paragraph of the docstring is for users, on one line; the rest is for readers of the code."""
    if "description" in schema:
        schema["description"] = " ".join(cleandoc(schema["description"]).partition("\n\n")[0].split())
    return schema


def _constant(schema: Schema) -> Schema:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    return schema


def _bounds(schema: Schema) -> Schema:
    """Exclusive bounds in Kubernetes' older dialect, where they are a boolean beside the bound; no bound of zero."""
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in schema:
            schema[inclusive], schema[exclusive] = schema[exclusive], True
    for key in ("minLength", "minItems", "minProperties"):
        if schema.get(key) == 0:
            del schema[key]
    return schema


def _object(schema: Schema, place: _Place) -> Schema:
    if {"patternProperties", "propertyNames", "additionalProperties"} & set(schema) and "properties" not in schema:
        return _map(schema, place)
    if schema.pop("additionalProperties", False):
        raise place.refuse("a block of any fields has no structural form")
    properties = schema.get("properties", {})
    return schema | {"properties": {name: _node(field, place.at(name)) for name, field in properties.items()}}


def _map(schema: Schema, place: _Place) -> Schema:
    keys = schema.pop("propertyNames", {})
    values = schema.pop("additionalProperties", True)
    for pattern, described in schema.pop("patternProperties", {}).items():
        keys, values = keys | {"pattern": pattern}, described
    if not isinstance(values, dict):
        raise place.refuse("a map of untyped values has no structural form")
    if keys:
        schema[RULES] = [*schema.get(RULES, ()), _keys_rule(keys)]
    return schema | {"additionalProperties": _node(values, place.at("*"))}


def _keys_rule(keys: Schema) -> Schema:
    """The form of a map's keys: structural schemas have no word for it, CEL has."""
    terms = []
    if "maxLength" in keys:
        terms.append(f"size(key) <= {keys['maxLength']}")
    if "pattern" in keys:
        quoted = keys["pattern"].replace("\\", "\\\\").replace("'", "\\'")
        terms.append(f"key.matches('{quoted}')")
    return {"rule": f"self.all(key, {' && '.join(terms) or 'true'})", "message": "a name in this map has a wrong form"}


def _array(schema: Schema, place: _Place) -> Schema:
    if "prefixItems" in schema:
        raise place.refuse("a tuple of fixed shape (prefixItems) has no structural form")
    if schema.pop("uniqueItems", False):
        schema[LIST_TYPE] = "set"
    inside = replace(place.at("*"), in_list=True)
    schema["items"] = _node(schema.get("items", {}), inside)
    schema.setdefault(LIST_TYPE, "atomic")
    if schema[LIST_TYPE] == "set" and schema["items"].get("type") not in _SCALARS:
        raise place.refuse("only scalars can be a set; name the field that identifies an entry")
    missing = set(schema.get(LIST_KEYS, ())) - set(schema["items"].get("required", ()))
    if missing:
        raise place.refuse(f"the key {', '.join(sorted(missing))} of a list must be a required field")
    return schema
