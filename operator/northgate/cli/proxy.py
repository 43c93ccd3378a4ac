"""Which command is a proxy's pod? `proxy`: it supervises Envoy, answers the kubelet's probes and drains at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from northgate.cli.running import run_until_stopped
from northgate.cli.standalone import LogFormat


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(proxy)


def proxy(
    *,
    bootstrap: Annotated[Path, typer.Option(help="Envoy's bootstrap, a JSON file; its node gets its id here.")],
    node: Annotated[str, typer.Option(help="The proxy's id; each proxy needs its own.")],
    admin: Annotated[Path, typer.Option(help="The admin socket the bootstrap names; its folder is made.")] = Path(
        "/run/northgate/envoy/admin.sock"
    ),
    probes: Annotated[str, typer.Option(help="Where /startup, /live and /ready are answered, host:port.")] = (
        "127.0.0.1:64511"
    ),
    concurrency: Annotated[int | None, typer.Option(help="Worker threads; all processors' when absent.")] = None,
    min_drain: Annotated[float, typer.Option(help="Seconds to go on accepting connections when told to end.")] = 5.0,
    drain: Annotated[float, typer.Option(help="Seconds connections may take to end before they are cut.")] = 30.0,
    envoy_path: Annotated[str | None, typer.Option(help="The Envoy to start; else $NORTHGATE_ENVOY, PATH.")] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How the log is written.")] = LogFormat.JSON,
) -> None:
    """Run one proxy, as its pod does: Envoy supervised, probes answered, drained on SIGTERM before it ends."""
    from northgate.cli.logs import set_up
    from northgate.files.binary import EnvoyMissingError, find_envoy
    from northgate.files.pod import Pod, ProbeAddress, read_bootstrap
    from northgate.files.supervisor import Drain, EnvoyOptions

    set_up(log_format)
    host, _, port = probes.rpartition(":")
    if not host or not port.isdecimal():
        raise typer.BadParameter(f"{probes!r} is not host:port", param_hint="--probes")
    try:
        options = EnvoyOptions(
            binary=find_envoy(envoy_path),
            bootstrap=read_bootstrap(bootstrap, node),
            admin=admin,
            folder=admin.parent,
            concurrency=concurrency,
            log_level="warning",
            drain=Drain(least=min_drain, most=max(min_drain, drain)),
        )
    except (OSError, ValueError, EnvoyMissingError) as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from None
    run_until_stopped(Pod(options, ProbeAddress(host.strip("[]"), int(port))).run())
