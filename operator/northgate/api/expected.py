"""What does a schema want, in words, and what turns a value of the wrong type into one of the right type?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from northgate.api.forms import DURATION, FORMS
from northgate.api.schema import Schema

_MOST_NAMES = 16
_LONGEST_ENTRY = 40


def schema_at(schema: Schema, path: Iterable[str | int]) -> Schema:
    """The schema of what stands at a path; empty where the schema ends."""
    for step in path:
        inner = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        schema = inner or schema.get("additionalProperties") or {}
    return schema


def remedy(found: Any, schema: Schema) -> str | None:
    """What to do with a value of the wrong type, when something simple makes it right."""
    match schema.get("type"), found:
        case "string", bool() | int() | float():
            return _quoted(found, schema)
        case "integer", str() if re.fullmatch(r"-?[0-9]{1,18}", found) and _within(int(found), schema):
            return f"remove the quotes: {int(found)}"
        case "boolean", str() if found.lower() in ("true", "false", "yes", "no", "on", "off"):
            return f"write {str(found.lower() in ('true', 'yes', 'on')).lower()} without quotes"
        case "array", str() | bool() | int() | float():
            return f"write a list: [{json.dumps(found, ensure_ascii=False)[:_LONGEST_ENTRY]}]"
        case "array", dict():
            return 'write a list: begin each entry with "- "'
        case _:
            return None


def _quoted(found: float | str, schema: Schema) -> str | None:
    """YAML makes numbers and booleans of plain words; quotes keep them text."""
    word = json.dumps(found)
    if schema.get("pattern") == DURATION and isinstance(found, int) and not isinstance(found, bool) and found >= 0:
        return f'add a unit: "{found}s"'
    if not _fits(word, schema):
        return None
    if isinstance(found, bool):
        return f'quote it: "{word}" (without quotes, yes, no, on and off are booleans too)'
    return f'quote it: "{word}"'


def _fits(word: str, schema: Schema) -> bool:
    if "enum" in schema:
        return word in schema["enum"]
    return len(word) <= schema.get("maxLength", 0) and re.search(schema.get("pattern", ""), word) is not None


def _within(number: int, schema: Schema) -> bool:
    return bool(schema.get("minimum", number) <= number <= schema.get("maximum", number))


def expected(schema: Schema) -> str:  # noqa: PLR0911 - one line for each type
    """What a schema takes, as the object of "write"."""
    match schema:
        case {"enum": [only]}:
            return str(only)
        case {"enum": values}:
            return f"one of: {listed(str(value) for value in values)}"
        case {"type": "integer" | "number" as kind}:
            return ("a whole number" if kind == "integer" else "a number") + _range(schema)
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "string"}:
            return FORMS[schema["pattern"]].words if schema.get("pattern") in FORMS else "text"
        case {"type": "array"}:
            return "a list"
        case {"type": "object", "properties": properties} if properties:
            return f"a block with {listed(properties)}"
        case _:
            return "a block of fields"


def _range(schema: Schema) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is None or highest is None:
        return "" if lowest is highest else f" of at least {lowest}" if highest is None else f" of at most {highest}"
    return f" from {lowest} to {highest}"


def listed(names: Iterable[str]) -> str:
    """Names in a row, cut where nobody reads on."""
    known = list(names)
    return ", ".join(known[:_MOST_NAMES]) + (", …" if len(known) > _MOST_NAMES else "")
