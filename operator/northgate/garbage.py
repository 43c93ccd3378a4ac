"""When does Python look for garbage? Not while a world is loaded, seldom afterwards, and never in what was loaded.

Looking through a world of ten thousand Routes takes over a second, in which nothing else runs, and finds nothing: its
values hold no cycles.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 20, 100)
"""Objects made and not freed before a look at the youngest; looks before one at the next generation, and the next."""


def look_seldom() -> None:
    """Set the process up for long life with many values; to be called at its start."""
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def loading() -> Iterator[None]:
    """Load much at once. What exists afterwards is kept out of every later look."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
