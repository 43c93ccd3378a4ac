"""What time is it, and what does chance say? Three sources that are handed in, so that tests can hold them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clocks:
    """`boot` gives seconds that go on while the process or the machine sleeps, and are never set; `wall` is for people.

    `chance` gives numbers in [0, 1) that keep replicas out of step.
    """

    boot: Callable[[], float]
    wall: Callable[[], datetime]
    chance: Callable[[], float]


def machine() -> Clocks:
    """The clocks of this machine."""
    return Clocks(_boot, lambda: datetime.now(UTC), random.random)


def _boot() -> float:
    # Plain monotonic time stands still while a virtual machine is suspended, and a Lease would seem to be ours still.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
