"""Can a Route serve a listener that forwards connections? Only what needs no request: backends and their weights."""

from __future__ import annotations

from collections.abc import Iterator

from northgate.api.conditions import Path, Problem, Reason
from northgate.api.route import RouteSpec, Rule


def connection_problems(protocol: str, spec: RouteSpec) -> Iterator[Problem]:
    """What in a Route has no meaning for a `TCP` or `TLS` listener, with paths relative to its spec."""
    if protocol == "TCP" and spec.hostnames is not None:
        yield _problem(("hostnames",), "a TCP connection carries no hostname; remove it")
    for index, rule in enumerate(spec.rules):
        if index > 0:
            yield _problem(("rules", index), "a connection is forwarded by the first rule; remove the others")
        for name in _request_fields(rule):
            yield _problem(("rules", index, name), "needs requests, and this listener forwards connections; remove it")


def _request_fields(rule: Rule) -> Iterator[str]:
    if rule.matches is not None:
        yield "matches"
    yield from (name for name, _ in rule.features())


def _problem(path: Path, message: str) -> Problem:
    return Problem(path, Reason.UNSUPPORTED_VALUE, message)
