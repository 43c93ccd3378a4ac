"""Which command runs in a cluster? `operator`: it reads objects, runs their proxies, and says what became of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from northgate.cli.running import run_until_stopped
from northgate.cli.standalone import LogFormat


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(operator)


def operator(
    *,
    namespace: Annotated[str, typer.Option(help="Its own namespace, with its Lease and its certificates.")],
    image: Annotated[str, typer.Option(help="Image of the proxies: northgate and Envoy in one.")],
    name: Annotated[str, typer.Option(help="Name of the Service of the xDS port, of the Lease and Secrets.")] = (
        "northgate"
    ),
    watch: Annotated[
        list[str] | None, typer.Option(help="Read only this namespace; may be repeated; all when absent.")
    ] = None,
    secrets: Annotated[
        list[str] | None, typer.Option(help="Read Secrets of this namespace; may be repeated; of none when absent.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="How the API server is reached; else as kubectl does.")
    ] = None,
    context: Annotated[str, typer.Option(help="The kubeconfig's context.")] = "",
    xds: Annotated[str, typer.Option(help="Where proxies connect, by mutual TLS.")] = "0.0.0.0:18000",
    site: Annotated[str, typer.Option(help="Where /healthz, /readyz, /metrics and /status are.")] = "0.0.0.0:18080",
    log_format: Annotated[LogFormat, typer.Option(help="How the log is written.")] = LogFormat.JSON,
) -> None:
    """Run the edges of a cluster: Envoy workloads, configuration by mutual TLS, and the status of every object."""
    from northgate.cli.logs import set_up
    from northgate.kube.access import AccessError
    from northgate.kube.kinds import Scope
    from northgate.operate import Operator, Settings

    set_up(log_format)
    settings = Settings(
        namespace=namespace,
        image=image,
        name=name,
        kubeconfig=kubeconfig,
        context=context,
        scope=Scope(tuple(watch) if watch else None, tuple(secrets or ())),
        xds=xds,
        site=site,
    )
    try:
        run_until_stopped(Operator(settings).run())
    except AccessError as error:
        typer.echo(f"✗ {error}", err=True)
        sys.exit(3)
