"""What does an object look like that is bad in one place only? A valid one with a bad value planted there."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations, product
from typing import Any

from tests.api.near import WORDS, valid
from tests.api.openapi import broken, complaints, holds
from tests.api.test_rules import free
from tests.kube.rig.definitions import definitions

from northgate.api.parse import VERSION
from northgate.api.schema import LIST_TYPE, RULES, Schema

_WRONG = {"object": "a", "array": "a", "string": 7, "integer": "a", "number": "a", "boolean": "a"}
_TRIES = 400
_SEARCHES = 30
_BESIDE = 2
_LUCK = 20
_EXCESS = 1 << 16

Choose = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a kind's objects: `steps` lead from `spec` or `status` there, `[]` into a list, `*` into a map."""

    kind: str
    steps: tuple[str, ...]
    schema: Schema

    @property
    def path(self) -> str:
        """As the API server writes it, each list's first entry and the map's entry `a` taken."""
        return "".join({"[]": "[0]", "*": ".a"}.get(step, f".{step}") for step in self.steps).removeprefix(".")


@dataclass(frozen=True, slots=True)
class Bad:
    """A value that breaks one bound, where the API server complains, and a regular expression for what it says."""

    place: Place
    bound: str
    value: Any
    path: str
    says: str


def root(kind: str) -> Schema:
    """The schema of a kind's objects."""
    (found,) = (one for one in definitions() if one["spec"]["names"]["kind"] == kind)
    schema: Schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


KINDS = tuple(str(one["spec"]["names"]["kind"]) for one in definitions())


def places(kind: str, part: str) -> Iterator[Place]:
    """Every place in `spec` or in `status`."""
    yield from _below(kind, (part,), root(kind)["properties"][part])


def _below(kind: str, steps: tuple[str, ...], schema: Schema) -> Iterator[Place]:
    yield Place(kind, steps, schema)
    inner = dict(schema.get("properties", {}))
    inner |= {"[]": schema["items"]} if "items" in schema else {}
    inner |= {"*": schema["additionalProperties"]} if "additionalProperties" in schema else {}
    for step, one in inner.items():
        yield from _below(kind, (*steps, step), one)


def rules() -> Iterator[tuple[Place, dict[str, str]]]:
    """Every CEL rule that looks at one version of an object."""
    for kind in KINDS:
        for place in (*places(kind, "spec"), *places(kind, "status")):
            yield from ((place, rule) for rule in place.schema.get(RULES, ()) if "oldSelf" not in rule["rule"])


def planted(place: Place, value: Any) -> Any:
    """A part (`spec` or `status`) that is valid but for the value at that place."""
    steps = place.steps
    for length in range(len(steps) - 1, 0, -1):
        value = _around(place.kind, steps[:length], steps[length], value)
    return value


def _around(kind: str, block: tuple[str, ...], step: str, value: Any) -> Any:
    if step == "[]":
        fewest = _schema(kind, block).get("minItems", 1)
        return [value, *[_example(kind, (*block, step))] * (fewest - 1)]
    return {"a": value} if step == "*" else {**_beside(kind, block, step), step: value}


@cache
def _beside(kind: str, block: tuple[str, ...], field: str) -> dict[str, Any]:
    """The fields that a block must have beside a field, the fewest with which its rules hold."""
    schema = _schema(kind, block)
    others = [name for name in schema.get("properties", ()) if name != field]
    needed = [name for name in others if name in schema.get("required", ())]
    sets = chain.from_iterable(combinations(others, size) for size in range(_BESIDE + 1))
    for names, luck in product(sets, range(_LUCK)):
        found = {name: _example(kind, (*block, name), luck) for name in (*needed, *names)}
        if not any(broken(schema, {**found, field: _example(kind, (*block, field), luck)})):
            return found
    raise AssertionError(f"no valid block found that has {'.'.join((*block, field))}")


@cache
def _example(kind: str, steps: tuple[str, ...], luck: int = 0) -> Any:
    return some(_schema(kind, steps), random.Random(f"{luck} {'.'.join(steps)}").choice)


@cache
def _schema(kind: str, steps: tuple[str, ...]) -> Schema:
    found = root(kind)
    for step in steps:
        found = found["items"] if step == "[]" else found.get("additionalProperties") or found["properties"][step]
    return found


def some(schema: Schema, choose: Choose) -> Any:
    """A valid value; where rules make most blocks invalid it takes more luck than one search has."""
    for _ in range(_SEARCHES - 1):
        with suppress(AssertionError):
            return valid(schema, choose)
    return valid(schema, choose)


def breaking(schema: Schema, rule: str, choose: Choose) -> Any:
    """A block that breaks this rule; its parts are valid, so that the API server gets as far as the rule."""
    lenient = free(schema) if "properties" in schema else {key: schema[key] for key in schema if key != RULES}
    for _ in range(_TRIES):
        for value in _with_numbers(lenient, rule, some(lenient, choose)):
            if not holds(rule, value) and not any(complaints(lenient, value)):
                return value
    raise AssertionError(f"no example found that breaks: {rule}")


def _with_numbers(schema: Schema, rule: str, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The value, and the value with a number that the rule speaks of in one of its fields."""
    yield value
    numeric = [name for name, inner in schema.get("properties", {}).items() if inner["type"] == "integer"]
    yield from (value | {name: int(number)} for name in numeric for number in re.findall(r"\b\d+\b", rule))


def bad_values(place: Place) -> Iterator[Bad]:
    """A value for each bound of a place, wrong by as little as possible."""
    schema, path = place.schema, place.path
    good = some(schema, random.Random(path).choice)
    yield Bad(place, "type", _WRONG[schema["type"]], path, "must be of type")
    for bound, value, says in (*_scalars(schema), *_sizes(schema, good)):
        yield Bad(place, bound, value, f"{path}[1]" if bound == "list type" else path, says)
    if schema["type"] == "object" and "additionalProperties" not in schema:
        yield Bad(place, "unknown field", {**good, "zzz": 1}, "", rf'unknown field "{_escaped(path)}\.zzz"')
    for name in schema.get("required", ()):
        lacking = {field: entry for field, entry in good.items() if field != name}
        yield Bad(place, "required", lacking, f"{path}.{name}", "Required value")


def _escaped(path: str) -> str:
    return path.replace("[", r"\[").replace("]", r"\]").replace(".", r"\.")


def _scalars(schema: Schema) -> Iterator[tuple[str, Any, str]]:
    if "enum" in schema:
        yield "enum", "zzz", "Unsupported value"
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1, "should be greater than or equal to"
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + 1, "should be less than or equal to"
    if "pattern" in schema:
        yield "pattern", _unlike(schema), "should match"
    if "maxLength" in schema:
        yield "maxLength", "a" * (schema["maxLength"] + 1), "Too long"
    if schema.get("minLength"):
        yield "minLength", "a" * (schema["minLength"] - 1), "should be at least"


def _unlike(schema: Schema) -> str:
    """Text of a fitting length that the pattern does not match."""
    lengths = range(schema.get("minLength", 0), schema.get("maxLength", _EXCESS) + 1)
    fitting = (word for word in WORDS if len(word) in lengths)
    return next(word for word in fitting if any(complaints({"type": "string", "pattern": schema["pattern"]}, word)))


def _sizes(schema: Schema, good: Any) -> Iterator[tuple[str, Any, str]]:
    if "maxItems" in schema:
        entry = some(schema["items"], random.Random(0).choice)
        yield "maxItems", [entry] * (schema["maxItems"] + 1), "must have at most"
        if schema[LIST_TYPE] in {"set", "map"}:
            yield "list type", [entry, copy.deepcopy(entry)], "Duplicate value"
    if schema.get("minItems"):
        yield "minItems", good[: schema["minItems"] - 1], "should have at least"
    if "maxProperties" in schema:
        (entry, *_) = good.values() or [""]
        yield "maxProperties", {f"a{n}": entry for n in range(schema["maxProperties"] + 1)}, "must have at most"
    if schema.get("minProperties"):
        yield "minProperties", {}, "should have at least"


def document(kind: str, spec: Any, namespace: str, name: str = "planted") -> dict[str, Any]:
    """An object of a kind."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def good_spec(kind: str, luck: int = 0) -> Any:
    """A valid `spec`, another one for each number."""
    return _example(kind, ("spec",), luck)
