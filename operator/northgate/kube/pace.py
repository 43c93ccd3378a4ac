"""How patient is a reader of the API server? Its periods, time-outs and rests, in seconds, spread by chance."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, but for `page`, the objects of one page of a list.

    A list is compared with what is known every `audit`, at the latest; a difference counts as drift when the watch has
    not brought it after `settle`. A page may take `answer`. A watch lasts `watch` and is broken after `silence`, which
    is longer than the minute between two bookmarks. Rests after failures double from `first` up to `longest`; a server
    that asks for a longer one gets it, up to `asked`.
    """

    page: int = 500
    audit: float = 60.0
    settle: float = 1.0
    answer: float = 30.0
    watch: float = 290.0
    silence: float = 75.0
    first: float = 0.5
    longest: float = 30.0
    asked: float = 60.0

    def rest(self, failures: int, share: float, asked: float = 0.0) -> float:
        """How long to wait after so many failures in a row; `share` in [0, 1) spreads it over the upper half."""
        doubled = self.longest if failures > _MOST_DOUBLINGS else min(self.longest, self.first * 2 ** (failures - 1))
        return max(doubled * (0.5 + share / 2), min(asked, self.asked) * (1 + share / 10))

    def until_audit(self, share: float) -> float:
        """How long until the next comparison: between two thirds and all of its period."""
        return self.audit * (1 - share / 3)
