"""What is wrong with some files? Every mistake with file, line, column, object, field and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from northgate.api.conditions import Condition, Path, Problem, Reason, Status, Type
from northgate.api.expected import listed
from northgate.api.parse import GROUP, SPECS, VERSION, known
from northgate.api.spellings import nearest
from northgate.files.documents import Document, FileProblem, field_path
from northgate.ops.reading import Reading
from northgate.resolve.upstream_facts import told_problems
from northgate.world.key import ObjectKey

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake. An error is wrong in itself; a warning may be cured by another object that is not in the files."""

    file: str
    line: int
    column: int
    severity: Severity
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        about = ": ".join(part for part in (self.subject, self.field, self.message) if part)
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {about}"


def findings(reading: Reading) -> tuple[Finding, ...]:
    """All mistakes, sorted by place."""
    return tuple(sorted({*_in_files(reading), *_in_objects(reading), *_between_objects(reading)}))


def _in_files(reading: Reading) -> Iterator[Finding]:
    yield from map(in_file, reading.problems)
    for document in reading.unknown():
        yield _finding(document, Problem(("kind",), Reason.INVALID_KIND, left_out(document.key)), "warning")


def left_out(key: ObjectKey) -> str:
    """Why an object is not read, and what may be meant."""
    found = f"{key.kind} of group {key.group or 'core'} is not read by Northgate; it is left out"
    if key.group == GROUP:
        near = nearest(key.kind, SPECS)
        return f"{found}; {f'did you mean {near}?' if near else f'known are {listed(SPECS)}'}"
    return f"{found}; did you mean apiVersion: {VERSION}?" if key.kind in SPECS else found


def in_file(problem: FileProblem) -> Finding:
    """A mistake in a file as such."""
    where = field_path(problem.path) if problem.path else ""
    return Finding(problem.file, problem.line, problem.column, "error", "", where, problem.message)


def _in_objects(reading: Reading) -> Iterator[Finding]:
    """Mistakes in single objects, seen without any other."""
    for key, document in reading.documents.items():
        if known(key.group, key.kind):
            entry = reading.edge.world.entry(key)
            problems = entry.latest.problems if entry is not None else ()
            yield from (_finding(document, problem, "error") for problem in problems)


def _between_objects(reading: Reading) -> Iterator[Finding]:
    yield from _in_backends(reading)
    yield from _in_attachment(reading)
    yield from _in_listeners(reading)
    yield from _in_upstreams(reading)


def _in_backends(reading: Reading) -> Iterator[Finding]:
    for name, backends in reading.edge.compiler.backends.items():
        document = _document(reading, "Route", name)
        yield from (_finding(document, problem, "warning") for problem in backends.problems)


def _in_attachment(reading: Reading) -> Iterator[Finding]:
    for name, facts in reading.edge.compiler.route_facts.items():
        document = _document(reading, "Route", name)
        for index, parent in enumerate(facts.parents):
            wrong = [c for c in parent.conditions if _is_wrong(c)]
            yield from (_finding(document, _problem(c, ("spec", "parentRefs", index)), "warning") for c in wrong)
    for name, parents in reading.edge.compiler.parents.items():
        document = _document(reading, "Route", name)
        partly = (problem for parent in parents if parent.attachments for problem in parent.problems)
        yield from (_finding(document, problem, "warning") for problem in partly)


def _in_listeners(reading: Reading) -> Iterator[Finding]:
    for name, gateway in reading.edge.compiler.gateway_facts.items():
        document = _document(reading, "EdgeGateway", name)
        for index, listener in enumerate(gateway.listeners):
            wrong = [c for c in listener.conditions if c.status is Status.FALSE]
            yield from (_finding(document, _problem(c, ("spec", "listeners", index)), "warning") for c in wrong)


def _in_upstreams(reading: Reading) -> Iterator[Finding]:
    for name, upstream in reading.edge.compiler.upstreams.resolved.items():
        document = _document(reading, "Upstream", name)
        yield from (_finding(document, problem, "warning") for problem in told_problems(upstream))


def _is_wrong(condition: Condition) -> bool:
    refused = condition.type is Type.ACCEPTED and condition.status is Status.FALSE
    return (refused and condition.reason != "Invalid") or condition.type is Type.CONFLICTED


def _problem(condition: Condition, path: Path) -> Problem:
    return Problem(path, condition.reason, f"{condition.type} {condition.reason}: {condition.message}")


def _document(reading: Reading, kind: str, name: tuple[str, str]) -> Document:
    return reading.documents[ObjectKey(GROUP, kind, *name)]


def _finding(document: Document, problem: Problem, severity: Severity) -> Finding:
    line, column = document.position(problem.path)
    where = field_path(problem.path) if problem.path else ""
    return Finding(document.file, line, column, severity, str(document.key), where, problem.message)
