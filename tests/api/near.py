"""What do valid objects look like, and objects that are nearly valid? Made from a schema, choice by choice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import re2
from tests.api.openapi import broken

Schema = dict[str, Any]
Choose = Callable[[Sequence[Any]], Any]

WORDS = (
    *(
        "a",
        "b",
        "web",
        "x-y",
        "a.example",
        "*.a.example",
        "1",
        "50",
        "0.5",
        "100",
        "200",
        "10s",
        "500ms",
        "1h30m",
        "0s",
    ),
    *("32Ki", "1Mi", "/", "/v1", "/a?b", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "a/b", "%REQ(a)%", "^a+$", "\\1"),
    *("*", "", " ", "A_", "-a", "a-"),
    *("https://a", "5", "5x", "100.1", "Ü", "a b", "a\nb", "\x00", "GET", "true", "0x1f"),
    *("2026-01-01T00:00:00Z", "True", "Exact", "x" * 64, "x" * 300, "x" * 40000),
)
"""Text of every form in the API, and text that only looks like it."""

JUNK = (None, "", "a", 0, -1, 1, 99, 10**9, 1.5, True, [], {}, ["a"], ["a", "a"], {"a": "a"}, [{}], *WORDS)
"""Values that are wrong in most places and right in some."""

_TRIES = 60

_SINGLED_OUT = (204, 304)
"""Numbers that rules name."""


def valid(schema: Schema, choose: Choose) -> Any:
    """A value the schema accepts."""
    for _ in range(_TRIES):
        value = _value(schema, choose)
        if not any(broken(schema, value)):
            return value
    raise AssertionError(f"no valid example found of: {schema.get('description')}; add text of its form to WORDS")


def _value(schema: Schema, choose: Choose) -> Any:
    if "enum" in schema:
        return choose(schema["enum"])
    match schema["type"]:
        case "string":
            return choose([word for word in WORDS if _fits(word, schema)])
        case "integer" | "number":
            inside = (number for number in _SINGLED_OUT if schema["minimum"] < number < schema["maximum"])
            return choose((schema["minimum"], schema["minimum"] + 1, schema["maximum"], *inside))
        case "boolean":
            return choose((True, False))
        case "array":
            fewest = schema.get("minItems", 0)
            count = choose(range(fewest, min(schema["maxItems"], fewest + 2) + 1))
            return [valid(schema["items"], choose) for _ in range(count)]
        case _:
            return _block(schema, choose)


def _fits(word: str, schema: Schema) -> bool:
    long_enough = schema.get("minLength", 0) <= len(word) <= schema["maxLength"]
    return long_enough and re2.search(schema.get("pattern", ""), word) is not None


def _block(schema: Schema, choose: Choose) -> dict[str, Any]:
    if "additionalProperties" in schema:
        keys = [choose(("a", "web", "a.example/b", "x" * 400)) for _ in range(choose((1, 1, 2)))]
        return {key: valid(schema["additionalProperties"], choose) for key in keys}
    required = schema.get("required", [])
    known = schema.get("properties", {})
    optional = [name for name in known if name not in required]
    extra = {choose(optional) for _ in range(choose((0, 1, 1, 2, 3, 6)))} if optional else set()
    names = [name for name in known if name in extra or name in required]
    return {name: valid(known[name], choose) for name in names}


def spoiled(value: Any, choose: Choose) -> Any:
    """The value with one thing changed: a field missing, unknown or of another value, an entry repeated."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return {"zzz": 1}
    container, key = choose(places)
    match choose(("drop", "replace", "replace", "repeat", "add")):
        case "drop":
            del container[key]
        case "repeat" if isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        case "add" if isinstance(container, dict):
            container[choose(("zzz", "name", "path", "headers", "Name"))] = choose(JUNK)
        case _:
            container[key] = choose(JUNK)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield value, key
        yield from _places(entry)
