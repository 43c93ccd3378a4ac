"""Which commands are there? Each is loaded when it is called, so that `--help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from northgate import __version__
from northgate.cli import cluster, offline, proxy, standalone, status

app = typer.Typer(
    help="An Envoy edge for points of presence: EdgeGateway, Route and Upstream objects become live traffic.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
offline.register(app)
standalone.register(app)
cluster.register(app)
proxy.register(app)
status.register(app)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.callback()
def options(
    *, no_color: Annotated[bool, typer.Option("--no-color", help="Plain text; NO_COLOR does the same.")] = False
) -> None:
    """Options of every command."""
    if no_color:
        typer.rich_utils.COLOR_SYSTEM = None  # type: ignore[attr-defined]


def main() -> None:
    """Run the command line; the exit status is 0 (fine), 1 (problems found), 2 (usage) or 3 (nobody to talk to)."""
    sys.exit(app())


if __name__ == "__main__":
    main()
