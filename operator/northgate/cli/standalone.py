"""Which commands run an edge without a cluster? `serve`, `demo`, and `bootstrap` for proxies started elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from northgate.cli.running import run_until_stopped

Directory = Annotated[
    Path, typer.Argument(help="The folder of YAML files that is served.", metavar="DIR", exists=True, file_okay=False)
]
USAGE = 2
UNREACHABLE = 3
_HIGHEST_PORT = 65535


class Encoding(StrEnum):
    """How a bootstrap is printed."""

    YAML = "yaml"
    JSON = "json"


class LogFormat(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(bootstrap)
    app.command()(demo)


def serve(
    directory: Directory,
    *,
    envoy: Annotated[bool, typer.Option("--envoy", help="Start and supervise one Envoy per gateway.")] = False,
    envoy_path: Annotated[str | None, typer.Option(help="The Envoy to start; else $NORTHGATE_ENVOY, PATH.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Worker threads of each Envoy; all processors' when absent.")
    ] = None,
    drain: Annotated[float, typer.Option(help="Seconds an Envoy may take to finish connections when stopped.")] = 10.0,
    bind: Annotated[str, typer.Option(help="Address that listeners are bound to.")] = "127.0.0.1",
    port: Annotated[
        list[str] | None, typer.Option(help="Bind another port for a listener's, as 80=8080; may be repeated.")
    ] = None,
    xds: Annotated[str, typer.Option(help="Where proxies connect, host:port or unix:path.")] = "127.0.0.1:18000",
    status_listen: Annotated[str, typer.Option(help="Where status is served; empty for nowhere.")] = "127.0.0.1:18001",
    status_file: Annotated[Path | None, typer.Option(help="Also write the status to this file, as JSON.")] = None,
    poll: Annotated[bool, typer.Option("--poll", help="Look for changes instead of being told of them.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="How the log is written.")] = LogFormat.TEXT,
) -> None:
    """Serve a folder of EdgeGateway, Route and Upstream files; edits are live at once. Ctrl-C drains, then stops."""
    from northgate.cli.logs import set_up
    from northgate.run import Settings, Standalone

    set_up(log_format)
    _check_addresses(bind, xds, status_listen)
    if envoy:
        _check_envoy(envoy_path)
    settings = Settings(
        folder=directory,
        bind=bind,
        ports=_ports(port or []),
        xds=xds,
        status=status_listen,
        status_file=status_file,
        envoy=envoy,
        envoy_path=envoy_path,
        concurrency=concurrency,
        drain=drain,
        polling=poll,
    )
    run_until_stopped(Standalone(settings).run())


def bootstrap(
    directory: Directory,
    gateway: Annotated[str, typer.Option("--gateway", "-g", help="The gateway, as namespace/name.")] = "",
    xds: Annotated[str, typer.Option(help="Where the control plane is, host:port or unix:path.")] = "127.0.0.1:18000",
    node: Annotated[str, typer.Option(help="The proxy's id; each proxy needs its own.")] = "",
    admin: Annotated[str, typer.Option(help="Path of the proxy's admin socket.")] = "/run/northgate/admin.sock",
    output: Annotated[Encoding, typer.Option("--output", "-o", help="How it is printed.")] = Encoding.YAML,
    *,
    sotw: Annotated[bool, typer.Option(help="Use the state-of-the-world protocol instead of delta.")] = False,
) -> None:
    """Print the bootstrap of an Envoy that is started elsewhere."""
    import socket

    from northgate.ops.proxies import bootstrap_options, xds_address
    from northgate.ops.reading import read_sources
    from northgate.translate.bootstrap import bootstrap_json, bootstrap_yaml

    gateways = dict(read_sources([str(directory)]).edge.compiler.gateways.items())
    chosen = [found for name, found in sorted(gateways.items()) if gateway in ("", "/".join(name))]
    if len(chosen) != 1:
        known = ", ".join("/".join(name) for name in sorted(gateways)) or "none"
        typer.echo(f"choose one EdgeGateway of {directory} with --gateway; there is {known}", err=True)
        raise typer.Exit(1)
    try:
        address = xds_address(xds)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--xds") from None
    options = bootstrap_options(chosen[0], node or socket.gethostname(), address, admin, delta=not sotw)
    typer.echo((bootstrap_yaml if output is Encoding.YAML else bootstrap_json)(options))


def demo(
    directory: Annotated[
        Path | None, typer.Argument(help="Examples to serve; those of Northgate when absent.", metavar="[DIR]")
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Check, prove one live edit, and exit.")] = False,
    envoy_path: Annotated[str | None, typer.Option(help="The Envoy to start; else $NORTHGATE_ENVOY, PATH.")] = None,
) -> None:
    """Show the whole product on this machine: upstreams, control plane and a real Envoy on free loopback ports."""
    from northgate.cli.logs import set_up
    from northgate.demo import DemoError, run_demo

    set_up(LogFormat.TEXT, quiet=True)
    _check_envoy(envoy_path)
    try:
        run_until_stopped(run_demo(directory, typer.echo, once=once, envoy_path=envoy_path))
    except DemoError as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from None


def _check_addresses(bind: str, xds: str, status: str) -> None:
    from ipaddress import ip_address

    try:
        ip_address(bind)
    except ValueError:
        raise typer.BadParameter(f"{bind!r} is not an IP address, such as 0.0.0.0 or ::", param_hint="--bind") from None
    if not xds.startswith("unix:") and not _is_address(xds):
        raise typer.BadParameter(f"{xds!r} is neither host:port nor unix:path", param_hint="--xds")
    if status and not _is_address(status):
        raise typer.BadParameter(f"{status!r} is not host:port", param_hint="--status-listen")


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and _is_port(port, 0)


def _is_port(text: str, lowest: int = 1) -> bool:
    return text.isdecimal() and text.isascii() and lowest <= int(text) <= _HIGHEST_PORT


def _check_envoy(path: str | None) -> None:
    from northgate.files.binary import EnvoyMissingError, find_envoy

    try:
        find_envoy(path)
    except EnvoyMissingError as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from None


def _ports(pairs: list[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for pair in pairs:
        wanted, _, bound = pair.partition("=")
        if not (_is_port(wanted) and _is_port(bound)):
            raise typer.BadParameter(f"{pair!r} is not LISTENER=BOUND, such as 80=8080", param_hint="--port")
        found[int(wanted)] = int(bound)
    return found
