"""When is a change published? The first at once; those that follow hard upon it in one go, when it is quiet again.

A burst ends when nothing came for the quiet window, or at the cap. Times are seconds on a clock that only goes forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Windows:
    """`quiet`: how long nothing must come in a burst before it is published. `cap`: the longest any change waits."""

    quiet: float = 0.008
    cap: float = 0.1


@dataclass(frozen=True, slots=True)
class Debounce:
    """The state: when something was last published or changed, and since when changes wait (None: none do)."""

    windows: Windows = Windows()
    last: float | None = None
    waiting_since: float | None = None

    def due(self) -> float | None:
        """When the waiting changes are to be published; None if none wait."""
        if self.waiting_since is None:
            return None
        if self.last is None:
            return self.waiting_since
        return min(self.last + self.windows.quiet, self.waiting_since + self.windows.cap)


def changed(state: Debounce, now: float) -> Debounce:
    """A change came. It is due at once if it was quiet before."""
    if state.waiting_since is not None:
        return replace(state, last=now)
    quiet = state.last is None or now - state.last >= state.windows.quiet
    return replace(state, last=None if quiet else now, waiting_since=now)


def published(state: Debounce, now: float) -> Debounce:
    """What waited was published."""
    return replace(state, last=now, waiting_since=None)
