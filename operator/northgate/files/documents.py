"""Which objects does a file declare? Documents with their identity and places, and problems in the user's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from northgate.files.values import FieldPath, Flaw, Place, Value, read_values
from northgate.world.key import ObjectKey

LARGEST_FILE = 8 * 1024 * 1024
"""Bytes a file may have."""

MOST_PROBLEMS = 100
"""Problems reported of one file; who has more reads these first."""

_API_VERSION = re.compile(r"(?:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)/)?v[a-z0-9]{1,62}")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
# Only the whole of a name is bounded, as in Kubernetes, not its parts.
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_SURROGATE_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WITHOUT_NAMESPACE = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("gateway.networking.k8s.io", "GatewayClass"),
        ("networking.k8s.io", "IngressClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    }
)


@dataclass(frozen=True, slots=True)
class Document:
    """One object as a file declares it.

    `raw` holds JSON values only and must not be changed: aliases share parts of it. Where the file names no
    namespace, `default` is filled in, as kubectl would do.
    """

    key: ObjectKey
    raw: Mapping[str, Any]
    file: str
    place: Place = field(repr=False)

    def position(self, path: FieldPath = ()) -> tuple[int, int]:
        """Line and column (from 1) of the value at `path` in `raw`, or of its nearest parent that is written."""
        found = self.place.find(path)
        return found.line, found.column


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """What is wrong in a file, where, and what to do: one sentence. `path` is empty when no field is to blame."""

    file: str
    line: int
    column: int
    path: FieldPath
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {field_path(self.path)}: {self.message}" if self.path else f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file says. When `broken`, it could not be read to its end and says nothing about its objects.

    When `partial`, a document could not be told to be some object, so an object that is absent may yet be meant.
    """

    documents: tuple[Document, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    broken: bool = False
    partial: bool = False


def field_path(path: FieldPath) -> str:
    """A path as users write it: `spec.rules[2].name`; names that are no identifiers in brackets: `labels["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def read_documents(file: str, content: bytes) -> FileContent:
    """The objects declared in `content`, the bytes of the YAML or JSON file called `file`. Never raises.

    A document that is no object is a problem and the others are returned; a file that is no YAML is `broken`.
    """
    text = _decoded(file, content)
    if isinstance(text, FileProblem):
        return FileContent((), (text,), broken=True)
    documents: dict[ObjectKey, Document] = {}
    problems: list[FileProblem] = []
    duplicates: list[FileProblem] = []
    for value in read_values(text):
        if isinstance(value, Flaw) and value.whole:
            return FileContent((), (_problem(file, value.place, value.path, value.message),), broken=True)
        for found in _objects(file, value):
            if isinstance(found, FileProblem):
                problems.append(found)
            elif (first := documents.setdefault(found.key, found)) is not found:
                duplicates.append(duplicate(found, first))
    worst_first = (*problems, *duplicates)[:MOST_PROBLEMS]
    return FileContent(tuple(documents.values()), worst_first, partial=bool(problems))


def duplicate(document: Document, first: Document) -> FileProblem:
    """The problem of a document whose object is declared already, by `first`, which wins."""
    where = f"{first.file}:{first.place.line}"
    message = f"{document.key} is declared already in {where}, which wins, so remove one of the two"
    line, column = document.position(("metadata", "name"))
    return FileProblem(document.file, line, column, ("metadata", "name"), message)


def _decoded(file: str, content: bytes) -> str | FileProblem:
    if len(content) > LARGEST_FILE:
        return FileProblem(file, 1, 1, (), f"the file is larger than {LARGEST_FILE >> 20} MiB, so split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start) + 1
        line, column = content.count(b"\n", 0, error.start) + 1, error.start - line_start + 1
        return FileProblem(file, line, column, (), "this is not UTF-8, so save the file as UTF-8 text")
    return _SURROGATE_PAIR.sub(_joined_pair, text) if file.endswith(".json") else text


def _joined_pair(match: re.Match[str]) -> str:
    """JSON writes U+1F600 as two escapes, which YAML does not know; the one long escape keeps the text's meaning."""
    backslashes, high, low = match.groups()
    code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    return f"{backslashes}\\U{code:08x}"


def _problem(file: str, place: Place, path: FieldPath, message: str) -> FileProblem:
    found = place.find(path)
    return FileProblem(file, found.line, found.column, path, message)


def _objects(file: str, value: Value | Flaw) -> Iterator[Document | FileProblem]:
    if isinstance(value, Flaw):
        yield _problem(file, value.place, value.path, value.message)
    elif value.json is None:
        return
    elif (
        isinstance(value.json, dict) and value.json.get("kind") == "List" and isinstance(value.json.get("items"), list)
    ):
        items = value.place.find(("items",))
        for index, item in enumerate(value.json["items"]):
            yield from _objects(file, Value(item, items.find((index,))))
    else:
        yield _object(file, value)


def _object(file: str, value: Value) -> Document | FileProblem:
    raw = value.json
    if not isinstance(raw, dict):
        return _problem(file, value.place, (), "this is not an object, so start it with apiVersion, kind and metadata")
    if flaw := _first_flaw(raw):
        return _problem(file, value.place, *flaw)
    key = _key(raw)
    if key.namespace and not raw["metadata"].get("namespace"):
        raw = {**raw, "metadata": {**raw["metadata"], "namespace": key.namespace}}
    return Document(key, raw, file, value.place)


def _first_flaw(raw: Mapping[str, Any]) -> tuple[FieldPath, str] | None:
    """Why `raw` is no object, if so: what would be its identity is missing or malformed."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    checks = (
        (("apiVersion",), raw.get("apiVersion"), _API_VERSION, "such as northgate.dev/v1alpha1"),
        (("kind",), raw.get("kind"), _KIND, "such as Route"),
        (("metadata", "name"), metadata.get("name"), _NAME, "of at most 253 lower-case letters, digits, '-' and '.'"),
        (
            ("metadata", "namespace"),
            metadata.get("namespace") or "default",
            _NAMESPACE,
            "of at most 63 lower-case letters, digits and '-'",
        ),
    )
    return next((flaw for check in checks if (flaw := _flaw(*check))), None)


def _flaw(path: tuple[str, ...], found: Any, pattern: re.Pattern[str], shape: str) -> tuple[FieldPath, str] | None:
    if isinstance(found, str) and pattern.fullmatch(found):
        return None
    name = ".".join(path)
    if found is None or found == "":
        return path, f"{name} is missing, so add one {shape}"
    if not isinstance(found, str):
        return path, f"{name} is not text, so write one {shape}, in quotes if need be"
    return path, f"{name} is malformed, so write one {shape}"


def _key(raw: Mapping[str, Any]) -> ObjectKey:
    group, _, version = str(raw["apiVersion"]).rpartition("/")
    assert version  # noqa: S101 - the pattern has seen to it
    kind, metadata = raw["kind"], raw["metadata"]
    if (group, kind) in _WITHOUT_NAMESPACE:
        return ObjectKey(group, kind, "", metadata["name"])
    return ObjectKey(group, kind, metadata.get("namespace") or "default", metadata["name"])
