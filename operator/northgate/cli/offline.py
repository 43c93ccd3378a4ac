"""Which commands need nothing but files? `validate`, `translate` and `crds`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from northgate.ops.findings import Finding
    from northgate.ops.reading import Reading

Sources = Annotated[list[str], typer.Argument(help="Folders or files; - for standard input.", metavar="PATH...")]


class Report(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


class Encoding(StrEnum):
    """How resources are printed."""

    YAML = "yaml"
    JSON = "json"


class Kind(StrEnum):
    """Types of Envoy resources."""

    LDS = "lds"
    RDS = "rds"
    CDS = "cds"
    EDS = "eds"
    SDS = "sds"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(validate)
    app.command()(translate)
    crds_app = typer.Typer(help="The custom resource definitions.", no_args_is_help=True)
    crds_app.command("print")(print_crds)
    app.add_typer(crds_app, name="crds")


def validate(
    sources: Sources,
    output: Annotated[Report, typer.Option("--output", "-o", help="How findings are printed.")] = Report.TEXT,
    *,
    strict: Annotated[bool, typer.Option(help="Let warnings count: exit 1 for them too.")] = False,
) -> None:
    """Say what is wrong with some files. Exit 1 when something is an error."""
    from northgate.ops.findings import findings

    reading = _read(sources)
    found = findings(reading)
    _print_findings(found, output)
    errors = sum(finding.severity == "error" for finding in found)
    typer.echo(f"{len(reading.documents)} objects, {errors} errors, {len(found) - errors} warnings", err=True)
    if errors or (strict and found):
        raise typer.Exit(1)


def translate(
    sources: Sources,
    gateway: Annotated[str, typer.Option("--gateway", "-g", help="Only this gateway, as namespace/name.")] = "",
    types: Annotated[list[Kind] | None, typer.Option("--type", "-t", help="Only these types; may be repeated.")] = None,
    name: Annotated[str, typer.Option("--name", help="Only resources whose name contains this.")] = "",
    output: Annotated[Encoding, typer.Option("--output", "-o", help="How resources are printed.")] = Encoding.YAML,
) -> None:
    """Print what the proxies would get, in Envoy's own words. Private keys are left out."""
    from northgate.ops import rendering
    from northgate.ops.findings import findings

    reading = _read(sources)
    wrong = [finding for finding in findings(reading) if finding.severity == "error"]
    for finding in wrong:
        typer.echo(str(finding), err=True)
    wanted = [kind.value for kind in types] if types else [kind.value for kind in Kind]
    shown = {
        "/".join(key): _filtered(rendering.by_type(reading.edge.resources(key), wanted), name)
        for key in sorted(key for key, _ in reading.edge.compiler.gateways.items())
        if gateway in ("", "/".join(key))
    }
    if gateway and not shown:
        typer.echo(f"EdgeGateway {gateway} is not in these files; leave --gateway out to see all", err=True)
        raise typer.Exit(1)
    write = rendering.as_yaml if output is Encoding.YAML else rendering.as_json
    typer.echo(write(shown), nl=False)
    if wrong:
        raise typer.Exit(1)


def print_crds(
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write one file per kind into this folder instead.")
    ] = None,
) -> None:
    """Print the custom resource definitions."""
    from northgate.api import crds

    if directory is not None:
        for path in crds.write(directory):
            typer.echo(str(path), err=True)
        return
    typer.echo("---\n".join(crds.generate().values()), nl=False)


def _read(sources: list[str]) -> Reading:
    from northgate.ops.reading import STDIN, read_sources

    return read_sources(sources, sys.stdin.buffer.read() if STDIN in sources else b"")


def _filtered(types: dict[str, list[dict[str, object]]], name: str) -> dict[str, list[dict[str, object]]]:
    kept = {
        short: [one for one in resources if name in str(one.get("name") or one.get("cluster_name") or "")]
        for short, resources in types.items()
    }
    return {short: resources for short, resources in kept.items() if resources}


def _print_findings(found: tuple[Finding, ...], report: Report) -> None:
    if report is Report.JSON:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
        return
    for finding in found:
        typer.echo(_github(finding) if report is Report.GITHUB else str(finding))


def _github(finding: Finding) -> str:
    text = ": ".join(part for part in (finding.subject, finding.field, finding.message) if part)
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    place = f"file={finding.file},line={finding.line},col={finding.column}"
    return f"::{finding.severity} {place}::{escaped}"
