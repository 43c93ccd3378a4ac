"""Which object is written next? Those that wait, the longest waiting first, at a bounded rate, after their rests."""

from __future__ import annotations

from northgate.world.key import ObjectKey


class Backlog:
    """Objects that wait. An object waits once, however often it changes. Times are monotonic seconds.

    Up to `burst` are given out at once, `rate` a second in the long run.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._counted = float("-inf")
        self._due: dict[ObjectKey, float] = {}
        self._failures: dict[ObjectKey, int] = {}

    def __len__(self) -> int:
        return len(self._due)

    def want(self, key: ObjectKey, now: float) -> None:
        """The object waits; one that rests after a failure goes on resting."""
        self._due.setdefault(key, now)

    def fail(self, key: ObjectKey) -> int:
        """A write of the object failed; how often in a row."""
        self._failures[key] = self._failures.get(key, 0) + 1
        return self._failures[key]

    def rest(self, key: ObjectKey, until: float) -> None:
        """The object waits, and not before then."""
        self._due[key] = until

    def settle(self, key: ObjectKey) -> None:
        """A write of the object did what it should."""
        self._failures.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    def next(self, now: float) -> ObjectKey | None:
        """An object to write now, which does not wait any more."""
        self._refill(now)
        if self._tokens < 1:
            return None
        key = next((key for key, due in self._due.items() if due <= now), None)
        if key is not None:
            self._tokens -= 1
            del self._due[key]
        return key

    def wake(self, now: float) -> float | None:
        """When `next` can have an object; None if nothing waits."""
        if not self._due:
            return None
        self._refill(now)
        paid = now + max(0.0, 1 - self._tokens) / self._rate
        return max(paid, min(self._due.values()))

    def _refill(self, now: float) -> None:
        if now > self._counted:
            gained = (now - self._counted) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
            self._counted = now
