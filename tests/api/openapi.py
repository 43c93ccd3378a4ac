"""Would an API server accept this value? The part of its validation that the CRDs use, with null pruning and CEL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import celpy
import re2

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_ENVIRONMENT = celpy.Environment()


@lru_cache(maxsize=1024)
def _program(rule: str) -> celpy.Runner:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(rule))


def holds(rule: str, value: Any) -> bool:
    """What a CEL rule says about a value; an error while evaluating refuses, as in the API server."""
    return _verdict(rule, json.dumps(value))


@lru_cache(maxsize=1 << 16)
def _verdict(rule: str, text: str) -> bool:
    try:
        return bool(_program(rule).evaluate({"self": celpy.json_to_cel(json.loads(text))}))
    except celpy.CELEvalError:
        return False


def pruned(schema: Schema, value: Any) -> Any:
    """The value without nulls in fields: the API server drops them before it validates."""
    if isinstance(value, dict) and "additionalProperties" not in schema:
        known = schema.get("properties", {})
        return {k: pruned(known.get(k, {}), v) for k, v in value.items() if v is not None or k not in known}
    if isinstance(value, list):
        return [pruned(schema.get("items", {}), entry) for entry in value]
    return value


def complaints(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """Why the API server refuses a value, unknown fields included (clients ask for strict field validation)."""
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path}: {value!r} is no {kind}"
        return
    found = [*_scalar(schema, value, path), *_children(schema, value, path)]
    yield from found or broken(schema, value, path)


def broken(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """The rules of this very block or list that a value breaks, its parts taken as valid."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not holds(rule["rule"], value):
            yield f"{path}: {rule['message']}"
    if schema["type"] == "array":
        yield from _repeats(schema, value, path)


def _scalar(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not in the enum"
    if "pattern" in schema and re2.search(schema["pattern"], value) is None:
        yield f"{path}: {value!r} does not match"
    if isinstance(value, int | float):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield f"{path}: {value!r} is out of range"
        return
    for lowest, highest in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties")):
        if len(value) < schema.get(lowest, 0) or len(value) > schema.get(highest, len(value)):
            yield f"{path}: size {len(value)}"


def _children(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if schema["type"] == "array":
        for index, entry in enumerate(value):
            yield from complaints(schema["items"], entry, f"{path}[{index}]")
    elif "additionalProperties" in schema:
        for name, entry in value.items():
            yield from complaints(schema["additionalProperties"], entry, f"{path}.{name}")
    elif schema["type"] == "object":
        yield from (f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value)
        known = schema.get("properties", {})
        for name, entry in value.items():
            if name in known:
                yield from complaints(known[name], entry, f"{path}.{name}")
            else:
                yield f"{path}.{name}: unknown"


def _repeats(schema: Schema, value: list[Any], path: str) -> Iterator[str]:
    match schema["x-kubernetes-list-type"]:
        case "set":
            keys = [json.dumps(entry) for entry in value]
        case "map":
            fields = schema["x-kubernetes-list-map-keys"]
            keys = [json.dumps([entry.get(field) for field in fields]) for entry in value if isinstance(entry, dict)]
        case _:
            return
    if len(set(keys)) != len(keys):
        yield f"{path}: duplicates"
