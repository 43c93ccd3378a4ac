"""How does a command that serves end? When it is done or told to stop: the first signal lets it finish its work."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import typer


def run_until_stopped(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run; SIGINT and SIGTERM cancel, a second one ends at once. Exits with 1 and the reason on an OSError."""
    try:
        asyncio.run(_with_signals(main()))
    except OSError as error:
        typer.echo(f"✗ {error}", err=True)
        sys.exit(1)


async def _with_signals(main: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    with suppress(asyncio.CancelledError):
        await task
