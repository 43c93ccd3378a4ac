"""What is to be taken in next? The newest word on every object that changed since the last time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from northgate.deliver.debounce import Debounce, changed, published
from northgate.world.key import ObjectKey


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """What to do to hold what the cluster holds. Not `complete`: some required kind was never listed yet."""

    put: tuple[tuple[ObjectKey, Mapping[str, Any]], ...]
    removed: tuple[ObjectKey, ...]
    complete: bool


class Inbox:
    """Gathers news; changes that follow hard upon each other are given out in one go. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._news: dict[ObjectKey, Mapping[str, Any] | None] = {}
        self._pressure = Debounce()

    def put(self, key: ObjectKey, document: Mapping[str, Any] | None, now: float) -> None:
        """An object says this now; None: it is gone."""
        self._news[key] = document
        self._pressure = changed(self._pressure, now)

    def due(self) -> float | None:
        """When what waits is to be given out; None if nothing waits."""
        return self._pressure.due()

    def give(self, now: float, *, complete: bool) -> ClusterChange:
        """All that waits."""
        news, self._news = self._news, {}
        self._pressure = published(self._pressure, now)
        put = tuple((key, document) for key, document in news.items() if document is not None)
        return ClusterChange(put, tuple(key for key, document in news.items() if document is None), complete)
