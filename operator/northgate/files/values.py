"""What does a YAML text hold, and where? JSON values with the place of each, document by document, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from northgate.files.scalars import AmbiguousError, Scalar, plain

FieldPath = tuple[str | int, ...]
"""A place inside an object: names of fields and indexes of lists, from the outside in."""

DEEPEST = 64
"""Levels of nesting a document may have."""

MOST_VALUES = 500_000
"""Values one file may hold, each alias counted with everything it stands for."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_CONFLICT = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)
_LONGEST_QUOTE = 40
_DEEPEST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins (line and column, both from 1) and where the values inside it begin."""

    line: int
    column: int
    inside: Mapping[str | int, Place] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def find(self, path: FieldPath) -> Place:
        """The place of the value at `path`, or of its nearest parent that exists."""
        place = self
        for step in path:
            if step not in place.inside:
                break
            place = place.inside[step]
        return place


@dataclass(frozen=True, slots=True)
class Value:
    """One document: its JSON value and the places in it."""

    json: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a document has no value. `whole` says that the rest of the file cannot be read either."""

    place: Place
    path: FieldPath
    message: str
    whole: bool = False


def read_values(text: str) -> Iterator[Value | Flaw]:
    """The documents of a YAML text in order. A flaw in one document leaves the others; broken syntax ends the file.

    Values are JSON's: dictionaries with text keys, lists, text, booleans, integers of 64 bits, finite floats, None.
    Never raises.
    """
    if found := _UNPRINTABLE.search(text):
        yield Flaw(_place_at(text, found.start()), (), _unprintable(found.group()), whole=True)
        return
    reader = _Reader(yaml.parse(text, Loader=yaml.CSafeLoader))
    try:
        yield from reader.documents()
    except _FlawError as error:
        yield Flaw(error.place, error.path, error.message, whole=True)
    except yaml.YAMLError as error:
        yield _broken(text, error)


class _FlawError(Exception):
    def __init__(self, place: Place, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.place, self.path, self.message = place, path, message


class _BoundError(_FlawError):
    """A limit was passed: reading on would only cost more."""


@dataclass(frozen=True, slots=True)
class _Anchored:
    json: Any
    place: Place
    size: int
    depth: int


class _Reader:
    """Reads events into values. `_path` and `_size` follow the value being read; anchors live as long as a document."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, _Anchored] = {}
        self._path: list[str | int] = []
        self._size = 0
        self._deepest = 0

    def documents(self) -> Iterator[Value | Flaw]:
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                yield self._document()

    def _document(self) -> Value | Flaw:
        self._anchors.clear()
        self._path.clear()
        try:
            json, place = self._value(next(self._events), 0)
        except _BoundError:
            raise
        except _FlawError as error:
            self._skip_document()
            return Flaw(error.place, error.path, error.message)
        return Value(json, place)

    def _skip_document(self) -> None:
        for event in self._events:
            if isinstance(event, DocumentEndEvent):
                return

    def _value(self, event: Event, depth: int) -> tuple[Any, Place]:
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        assert isinstance(event, NodeEvent)  # noqa: S101 - the parser's grammar; it narrows the type
        size = self._size
        self._count(event, 1, depth)
        self._refuse_tag(event)
        anchored_from, self._deepest = self._deepest, depth
        json, place = self._content(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(json, place, self._size - size, self._deepest - depth)
        self._deepest = max(anchored_from, self._deepest)
        return json, place

    def _content(self, event: Event, depth: int) -> tuple[Any, Place]:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, depth)
        assert isinstance(event, ScalarEvent)  # noqa: S101 - the only other kind of node
        return self._scalar(event), _place(event)

    def _count(self, event: Event, size: int, depth: int) -> None:
        self._size += size
        self._deepest = max(self._deepest, depth)
        if depth > DEEPEST:
            self._exceed(event, f"values are nested more than {DEEPEST} levels deep, so make the object flatter")
        if self._size > MOST_VALUES:
            self._exceed(event, f"the file holds more than {MOST_VALUES} values, so split it or use fewer aliases")

    def _exceed(self, event: Event, message: str) -> None:
        raise _BoundError(_place(event), tuple(self._path[:_DEEPEST_SHOWN]), message)

    def _refuse(self, event: Event, message: str) -> _FlawError:
        return _FlawError(_place(event), tuple(self._path), message)

    def _refuse_tag(self, event: NodeEvent) -> None:
        if tag := getattr(event, "tag", None):
            raise self._refuse(event, f"the tag {_quote(tag)} has no meaning here, so remove it")

    def _alias(self, event: AliasEvent, depth: int) -> tuple[Any, Place]:
        anchor = event.anchor or ""
        anchored = self._anchors.get(anchor)
        if anchored is None:
            name = _quote(anchor)
            raise self._refuse(event, f"the alias *{name} has no anchor &{name} before it, so add one or spell it out")
        self._count(event, anchored.size, depth + anchored.depth)
        return anchored.json, Place(*_start(event), anchored.place.inside)

    def _sequence(self, start: Event, depth: int) -> tuple[list[Any], Place]:
        values: list[Any] = []
        inside: dict[str | int, Place] = {}
        while not isinstance(event := next(self._events), SequenceEndEvent):
            self._path.append(len(values))
            json, inside[len(values)] = self._value(event, depth + 1)
            self._path.pop()
            values.append(json)
        return values, Place(*_start(start), inside)

    def _mapping(self, start: Event, depth: int) -> tuple[dict[str, Any], Place]:
        values: dict[str, Any] = {}
        inside: dict[str | int, Place] = {}
        merged: list[tuple[Any, Place]] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            if _is_merge(event):
                merged += self._merge(next(self._events), depth)
                continue
            key = self._key(event, inside)
            self._path.append(key)
            values[key], inside[key] = self._value(next(self._events), depth + 1)
            self._path.pop()
        _add_merged(values, inside, merged)
        return values, Place(*_start(start), inside)

    def _key(self, event: Event, known: Mapping[str | int, Place]) -> str:
        if not isinstance(event, ScalarEvent):
            remedy = "so write a plain name, or put text that begins with { or [ in quotes"
            raise self._refuse(event, f"a field name must be text, {remedy}")
        self._count(event, 1, 0)
        self._refuse_tag(event)
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self._refuse(
                event, f"the field name {_quote(event.value) or '(empty)'} is read as {_kind(key)}, so put it in quotes"
            )
        if key in known:
            first = known[key]
            raise self._refuse(
                event, f"the field {_quote(key)} stands here again after line {first.line}, so remove one"
            )
        return key

    def _merge(self, event: Event, depth: int) -> Sequence[tuple[Any, Place]]:
        json, place = self._value(event, depth)
        parts = [(json, place)] if not isinstance(json, list) else [(j, place.inside[i]) for i, j in enumerate(json)]
        if not all(isinstance(part, dict) for part, _ in parts):
            raise self._refuse(event, "<< merges mappings only, so give it an alias of a mapping")
        return parts

    def _scalar(self, event: ScalarEvent) -> Scalar:
        text: str = event.value
        if not event.implicit[0]:
            if found := _UNPRINTABLE.search(text):
                raise self._refuse(event, _unprintable(found.group()))
            return text
        try:
            return plain(text)
        except AmbiguousError as error:
            raise self._refuse(event, str(error)) from None


def _add_merged(values: dict[str, Any], inside: dict[str | int, Place], merged: Sequence[tuple[Any, Place]]) -> None:
    """Fields written out win over merged ones, earlier merged ones over later (YAML's merge key type)."""
    for part, place in merged:
        for key, json in part.items():
            if key not in values:
                values[key], inside[key] = json, place.inside[key]


def _is_merge(event: Event) -> bool:
    return isinstance(event, ScalarEvent) and event.value == "<<" and bool(event.implicit[0])


def _start(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _place(event: Event) -> Place:
    return Place(*_start(event))


def _place_at(text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, offset) + 1, offset - line_start + 1)


def _unprintable(character: str) -> str:
    return f"the control character U+{ord(character):04X} is not allowed, so remove it"


def _quote(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def _kind(key: Scalar) -> str:
    match key:
        case bool():
            return "true or false"
        case None:
            return "null"
        case _:
            return "a number"


def _broken(text: str, error: yaml.YAMLError) -> Flaw:
    if conflict := _CONFLICT.search(text):
        return Flaw(_place_at(text, conflict.start()), (), "a merge conflict is left here, so resolve it", whole=True)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    return Flaw(place, (), _syntax(text, place, error), whole=True)


def _syntax(text: str, place: Place, error: yaml.YAMLError) -> str:
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    character = line[place.column - 1 : place.column]
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "the text cannot be read"
    context = getattr(error, "context", None) or ""
    if character == "\t":
        return "YAML is not indented by tabs, so use spaces"
    if "cannot start any token" in problem:
        return f"text cannot begin with {character}, so put it in quotes"
    if "scanning an alias" in context or "scanning an anchor" in context:
        return "text cannot begin with * or &, so put it in quotes"
    begun = getattr(error, "context_mark", None)
    begins = f" that begins in line {begun.line + 1}" if context and begun and begun.line + 1 != place.line else ""
    return f"this is not YAML: {f'{context}{begins}, ' if context else ''}{problem}, so correct the syntax"
