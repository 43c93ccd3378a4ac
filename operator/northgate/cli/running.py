"""How does a command that serves end? When it is done or told to stop: the first signal lets it finish its work."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import typer


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run until done or told to stop: SIGINT and SIGTERM cancel, a second one ends at once.

    Exits with 1 and the reasons on an OSError.
    """

    async def with_signals() -> None:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            loop.remove_signal_handler(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        with suppress(asyncio.CancelledError):
            await task

    try:
        asyncio.run(with_signals())
    except* OSError as group:
        for error in group.exceptions:
            typer.echo(f"✗ {error}", err=True)
        sys.exit(1)
