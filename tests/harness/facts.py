"""How a test waits: for a fact with a deadline, asked again until it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02


class DeadlineError(AssertionError):
    """A fact did not come true in time."""


async def wait_for(fact: Callable[[], Awaitable[T]], what: str, deadline: float = 10.0) -> T:
    """Ask `fact` until its answer is true; return that answer.

    Raises DeadlineError after `deadline` seconds, with the last answer or the last ConnectionError. Any other
    exception of the fact is passed on at once.
    """
    last: object = None
    try:
        async with asyncio.timeout(deadline):
            while True:
                try:
                    answer = last = await fact()
                except ConnectionError as error:
                    last = error
                else:
                    if answer:
                        return answer
                await asyncio.sleep(_PAUSE)
    except TimeoutError as error:
        raise DeadlineError(f"not within {deadline:g} s: {what} (last: {last!r})") from error
