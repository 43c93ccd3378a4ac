"""What does a schema error mean to the person who made it? pydantic's errors as problems with path and remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from northgate.api.base import Model
from northgate.api.conditions import Path, Problem, Reason, dotted
from northgate.api.expected import expected, listed, remedy, schema_at
from northgate.api.forms import FORMS, repaired
from northgate.api.schema import Schema, structural
from northgate.api.spellings import nearest, translated

_LONGEST_SHOWN = 40
_PRIVATE = re.compile(r"password|secret|token|credential|private", re.IGNORECASE)
_KINDS: dict[type, str] = {
    str: "text", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a block of fields"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Mistake:
    """One of pydantic's errors: what was found where, and the schema of the whole object."""

    path: Path
    found: Any
    context: dict[str, Any]
    said: str
    root: Schema

    @property
    def schema(self) -> Schema:
        return schema_at(self.root, self.path)

    @property
    def private(self) -> bool:
        """True where a credential may stand."""
        return any(isinstance(step, str) and _PRIVATE.search(step) for step in self.path)

    @property
    def shown(self) -> str:
        """The value as users write it, shortened; nothing of it when it is private."""
        if self.private or (self.found and isinstance(self.found, dict | list)):
            return "the value"
        words = json.dumps(self.found, ensure_ascii=False, default=str)
        return words if len(words) <= _LONGEST_SHOWN else f"{words[:_LONGEST_SHOWN]}…"


def problems_of(error: ValidationError, model: type[Model] | None = None) -> tuple[Problem, ...]:
    """The mistakes in an object, in the order of its fields; consequences of other mistakes are left out.

    `model` is what the object was read as: its schema knows the bounds, the other fields and what is near a wrong word.
    Paths are relative to the object. Values under names that smell of credentials are not repeated.
    """
    root = structural(model) if model is not None else {}
    return tuple(
        Problem(mistake.path, Reason.INVALID, sentence)
        for entry in error.errors(include_url=False)
        if not _follows(entry)
        for mistake in (_mistake(entry, root),)
        for sentence in _SENTENCES.get(entry["type"], _as_said)(mistake).split("\n")
    )


def _follows(entry: ErrorDetails) -> bool:
    """A list is "too short" for pydantic when entries of it are wrong, which is said at those entries."""
    return entry["type"] == "too_short" and len(entry["input"]) >= entry["ctx"]["min_length"]


def _mistake(entry: ErrorDetails, root: Schema) -> _Mistake:
    path = tuple(step for step in entry["loc"] if step != "[key]")
    return _Mistake(path, entry["input"], entry.get("ctx", {}), entry["msg"], root)


def _as_said(mistake: _Mistake) -> str:
    return mistake.said


def _wrong_type(mistake: _Mistake) -> str:
    if mistake.found is None:
        return f"nothing is written here; write {expected(mistake.schema)}"
    advice = None if mistake.private else remedy(mistake.found, mistake.schema)
    return f"{mistake.shown} is {_KINDS[type(mistake.found)]}; {advice or f'write {expected(mistake.schema)}'}"


def _out_of_range(mistake: _Mistake) -> str:
    return f"{mistake.shown} is out of range; write {expected(mistake.schema)}" if mistake.root else mistake.said


def _wrong_form(mistake: _Mistake) -> str:
    pattern = mistake.context["pattern"]
    if pattern in FORMS:
        wanted = FORMS[pattern].words
    else:
        wanted = f"what this field takes ({mistake.schema.get('description', 'see its documentation')})"
    meant = repaired(mistake.found, pattern, mistake.schema.get("maxLength", 1 << 20))
    return f"{mistake.shown} is not {wanted}" + (f'; did you mean "{meant}"?' if meant and not mistake.private else "")


def _text_too_short(mistake: _Mistake) -> str:
    shortest = mistake.context["min_length"]
    found = "the text is empty" if not mistake.found else f"{mistake.shown} has fewer than {shortest} characters"
    pattern = mistake.schema.get("pattern")
    return f"{found}; write {FORMS[pattern].words if pattern in FORMS else f'at least {shortest}'}"


def _text_too_long(mistake: _Mistake) -> str:
    longest = mistake.context["max_length"]
    return f"the text has {len(mistake.found)} characters; write at most {longest}"


def _wrong_count(mistake: _Mistake) -> str:
    at_least, at_most = mistake.context.get("min_length"), mistake.context.get("max_length")
    bound = f"at least {at_least}" if at_least is not None else f"at most {at_most}"
    counted = len(mistake.found)
    return f"{counted} {'entry was' if counted == 1 else 'entries were'} found; write {bound}"


def _wrong_word(mistake: _Mistake) -> str:
    values = mistake.schema.get("enum")
    if values is None:
        return mistake.said
    if not isinstance(mistake.found, str) and any(isinstance(value, str) for value in values):
        return _wrong_type(mistake)
    if isinstance(mistake.found, str) and mistake.found in map(str, values):
        return f"{mistake.shown} is text; remove the quotes: {mistake.found}"
    meant = nearest(str(mistake.found), [str(value) for value in values])
    hint = f"; did you mean {meant}?" if meant is not None else ""
    return f"{mistake.shown} is not {expected(mistake.schema)}{hint}"


def _missing(mistake: _Mistake) -> str:
    described = mistake.schema.get("description")
    return f"required, but missing; add it: {described}" if described else "required, but missing; add it"


def _unknown(mistake: _Mistake) -> str:
    *block, name = mistake.path
    known = schema_at(mistake.root, block).get("properties", {})
    if (ours := translated(str(name), known)) is not None:
        return f"unknown field; it is called {ours} here"
    if (place := _elsewhere(tuple(block), str(name), mistake.root)) is not None:
        return f"unknown field here; it belongs to {place}, so check the indentation"
    if (near := nearest(str(name), known)) is not None:
        return f"unknown field; did you mean {near}?"
    return f"unknown field; known here: {listed(known)}" if known else "unknown field; remove it"


def _elsewhere(block: Path, name: str, root: Schema) -> str | None:
    """Where a field of this name stands: in a block around this one, or in one directly inside it."""
    for outer in range(len(block) - 1, -1, -1):
        if name in schema_at(root, block[:outer]).get("properties", {}):
            return dotted(block[:outer]) or "the outermost block"
    for inner, schema in schema_at(root, block).get("properties", {}).items():
        if name in schema.get("items", schema).get("properties", {}):
            return dotted((*block, inner))
    return None


def _rules(mistake: _Mistake) -> str:
    return "\n".join(_rule(message, mistake.found) for message in str(mistake.context["error"]).split("\n"))


def _rule(message: str, found: Any) -> str:
    """A rule that counts fields says which it found."""
    if not (message.startswith("set ") and isinstance(found, dict)):
        return message
    names = message.partition(": ")[2].split(", ")
    present = [name for name in names if found.get(name) is not None]
    return f"{message} (found: {', '.join(present) or 'none'})"


def _not_json(mistake: _Mistake) -> str:
    return f"not JSON: {mistake.context['error']}"


_SENTENCES: dict[str, Callable[[_Mistake], str]] = {
    **dict.fromkeys(("string_type", "int_type", "int_from_float", "float_type", "bool_type"), _wrong_type),
    **dict.fromkeys(("tuple_type", "list_type", "dict_type", "model_type", "model_attributes_type"), _wrong_type),
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _out_of_range),
    **dict.fromkeys(("too_short", "too_long"), _wrong_count),
    "string_pattern_mismatch": _wrong_form,
    "string_too_short": _text_too_short,
    "string_too_long": _text_too_long,
    "literal_error": _wrong_word,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "value_error": _rules,
    "json_invalid": _not_json,
}
"""The sentence for each of pydantic's error types; any other speaks for itself."""
