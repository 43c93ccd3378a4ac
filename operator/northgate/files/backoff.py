"""How long does Envoy rest after it ended? Longer with every crash in a row, and never the same on two machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: the `first` rest, which doubles up to `longest`; who ran for `calm` seconds begins anew."""

    first: float = 0.25
    longest: float = 30.0
    calm: float = 60.0

    def crashes(self, before: int, ran: float) -> int:
        """Crashes in a row now that one happened after `ran` seconds, where there were `before`."""
        return 1 if ran >= self.calm else before + 1

    def rest(self, crashes: int, share: float) -> float:
        """Seconds to wait after so many crashes in a row; `share` in [0, 1) spreads them over the upper half."""
        # Bounded before the power is taken: a number of crashes grows for ever, a float does not.
        doubled = self.longest if crashes > 32 else min(self.longest, self.first * 2 ** (crashes - 1))  # noqa: PLR2004
        return doubled * (0.5 + share / 2)
