"""How does `northgate status` look? Problems first, then objects and proxies, as tables like kubectl's."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from http.client import HTTPException
from typing import Annotated, Any

import typer

TYPES = ("lds", "rds", "cds", "eds", "sds")
DEFAULT_STATUS = "127.0.0.1:18001"
UNREACHABLE = 3
_NO_STATUS = (OSError, ValueError, HTTPException)
"""What asking for the status ends with where nobody, or somebody else, answers."""


class Format(StrEnum):
    """How the status is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    server: Annotated[
        str, typer.Option(help="Where the control plane's status is served, as host:port.", envvar="NORTHGATE_STATUS")
    ] = DEFAULT_STATUS,
    output: Annotated[Format, typer.Option("--output", "-o", help="How the status is printed.")] = Format.TABLE,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Print again whenever something changes.")] = False,
    wait: Annotated[float, typer.Option(help="Wait up to so many seconds until everything is ready.")] = 0.0,
) -> None:
    """Show every object's conditions and what each proxy confirmed. Exit 1 when something is not ready."""
    found = _awaited(server, time.monotonic() + wait)
    typer.echo(_printed(found, output), nl=False)
    while watch:
        time.sleep(0.5)
        latest = _fetch(server)
        if latest != found:
            found = latest
            typer.echo("\n" + _printed(found, output), nl=False)
    if not is_ready(found):
        raise typer.Exit(1)


def _awaited(server: str, deadline: float) -> dict[str, Any]:
    """The report once everything is ready, or as it is at the deadline; a server that starts meanwhile is heard."""
    while time.monotonic() < deadline:
        with suppress(*_NO_STATUS):
            found = _ask(server)
            if is_ready(found):
                return found
        time.sleep(0.2)
    return _fetch(server)


def _ask(server: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{server}/status", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _fetch(server: str) -> dict[str, Any]:
    try:
        return _ask(server)
    except _NO_STATUS as error:
        reason = getattr(error, "reason", error)
        typer.echo(
            f"no control plane answers at {server} ({reason}); start `northgate serve`, or set --server", err=True
        )
        raise typer.Exit(UNREACHABLE) from None


def _printed(found: Mapping[str, Any], output: Format) -> str:
    match output:
        case Format.JSON:
            return json.dumps(found, indent=2) + "\n"
        case Format.YAML:
            import yaml

            text: str = yaml.safe_dump(found, sort_keys=False, width=120)
            return text
        case Format.TABLE:
            return as_tables(found)


def is_ready(found: Mapping[str, Any]) -> bool:
    """True when everything was read, nothing is wrong and everything is confirmed."""
    settled = found["complete"] and not found["problems"]
    return settled and all(_condition(one, "Ready") == "True" for one in found["objects"])


def as_tables(found: Mapping[str, Any]) -> str:
    """The report as text."""
    parts = [_problems(found), _objects(found["objects"]), _proxies(found["gateways"])]
    return "\n".join(part for part in parts if part)


def _problems(found: Mapping[str, Any]) -> str:
    lines = [_file_problem(one) for one in found["problems"]]
    for one in found["objects"]:
        ready = next((c for c in one["status"]["conditions"] if c["type"] == "Ready"), None)
        if ready is not None and ready["status"] == "False":
            lines.append(f"✗ {one['kind']} {one['namespace']}/{one['name']}: {ready['reason']}: {ready['message']}")
    for gateway in found["gateways"]:
        lines.extend(_refusals(gateway))
    return "\n".join(lines) + "\n" if lines else ""


def _file_problem(problem: Mapping[str, Any]) -> str:
    in_file = "file" in problem
    place = f"{problem['file']}:{problem['line']}:{problem['column']}" if in_file else str(problem["object"])
    kept = " (the last good version still serves)" if problem.get("lastGoodServes") else ""
    return "✗ " + ": ".join(part for part in (place, problem.get("field", ""), problem["message"]) if part) + kept


def _refusals(gateway: Mapping[str, Any]) -> Iterator[str]:
    for proxy in gateway["proxies"]:
        refused = [name for name, one in proxy["types"].items() if one["state"] == "REJECTED"]
        if refused and "lastRejection" in proxy:
            said = proxy["lastRejection"]
            yield f"✗ {proxy['node']} rejects {said['type'].upper()} {', '.join(said['resources'])}: {said['message']}"


def _objects(objects: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["kind"],
            one["namespace"],
            one["name"],
            _condition(one, "Programmed") or "-",
            _condition(one, "Ready") or "-",
            next((c["reason"] for c in one["status"]["conditions"] if c["type"] == "Ready"), "-"),
        )
        for one in objects
    ]
    return table(("KIND", "NAMESPACE", "NAME", "PROGRAMMED", "READY", "REASON"), rows)


def _proxies(gateways: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            proxy["node"],
            gateway["name"],
            *(proxy["types"][short]["state"] for short in TYPES),
            f"{proxy['syncedRevision']}/{gateway['revision']}",
        )
        for gateway in gateways
        for proxy in gateway["proxies"]
    ]
    return table(("PROXY", "GATEWAY", *(short.upper() for short in TYPES), "REVISION"), rows)


def _condition(one: Mapping[str, Any], kind: str) -> str:
    return next((str(c["status"]) for c in one["status"]["conditions"] if c["type"] == kind), "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, as kubectl prints them; empty without rows."""
    if not rows:
        return ""
    widths = [max(len(str(row[column])) for row in (header, *rows)) for column in range(len(header))]
    lines = (
        "   ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"
