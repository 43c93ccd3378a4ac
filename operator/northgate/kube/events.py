"""What do users read in `kubectl describe`? An Event when an object comes into force, falls out of it, or recovers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from northgate.api.parse import VERSION
from northgate.kube.calls import Api, Document
from northgate.kube.clocks import Clocks
from northgate.kube.status import Written
from northgate.world.key import ObjectKey

CONTROLLER = "northgate.dev/operator"
"""`reportingController` of every Event."""

_TOLD = ("Programmed", "Ready", "Degraded")
_LONGEST_NOTE = 1024  # bytes
_LONGEST_NAME = 253 - 17
_WAITING = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transition:
    """A condition became true or false. `good`: that is how it should be."""

    type: str
    good: bool
    reason: str
    note: str


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Transition]:
    """What flipped between two statuses of an object. Waiting, which every edit begins with, is none."""
    was, now = _by_type(before), _by_type(after)
    for kind in _TOLD:
        old, new = was.get(kind, {}).get("status"), now.get(kind, {})
        if kind == "Degraded" and old == "True" and new.get("status") != "True":
            yield Transition(kind, good=True, reason="Recovered", note="not degraded any more")
        elif new.get("status") in ("True", "False") and new["status"] != old:
            good = (new["status"] == "True") == (kind != "Degraded")
            if kind != "Degraded" or not good:
                yield Transition(kind, good, str(new.get("reason") or kind), str(new.get("message") or kind))


def _by_type(status: Mapping[str, Any]) -> dict[str, Any]:
    return {one["type"]: one for one in status.get("conditions") or ()}


@dataclass(frozen=True, slots=True)
class Allowance:
    """Events that are told: of one object and of all at once, and seconds after which another one is earned."""

    each: int = 6
    each_after: float = 60.0
    overall: int = 100
    overall_after: float = 0.2


class Recorder:
    """Tells transitions as Events, as far as the allowance goes; what is over it is counted and not told.

    Messages are those of the statuses, which hold no secret; nothing else is told. Belongs to the loop of `run`.
    """

    def __init__(self, api: Api, instance: str, clocks: Clocks, allowance: Allowance | None = None) -> None:
        self._api = api
        self._instance = instance[:128]
        self._clocks = clocks
        self._allowance = allowance or Allowance()
        self._spent: dict[ObjectKey, tuple[float, float]] = {}
        self._overall = (0.0, clocks.boot())
        self._waiting: deque[Document] = deque()
        self._counts: Counter[str] = Counter()
        self._bell = asyncio.Event()

    def wrote(self, written: Written) -> None:
        """A status was written: tell what flipped."""
        for transition in transitions(written.before, written.after):
            if len(self._waiting) < _WAITING and self._may(written.key):
                self._waiting.append(self._event(written, transition))
                self._bell.set()
            else:
                self._counts["dropped"] += 1

    def counts(self) -> Mapping[str, int]:
        """How many were `told`, `dropped` for being too many, or `refused` by the API server."""
        return self._counts

    async def run(self) -> None:
        """Tell until cancelled. An Event that is refused is not told again: the status says it all the same."""
        while True:
            self._bell.clear()
            while self._waiting:
                await self._tell(self._waiting.popleft())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), 1.0)

    async def _tell(self, event: Document) -> None:
        namespace = event["metadata"]["namespace"]
        answer = await self._api.request("POST", f"apis/events.k8s.io/v1/namespaces/{namespace}/events", event)
        if answer.ok:
            self._counts["told"] += 1
            return
        self._counts["refused"] += 1
        if self._counts["refused"] == 1:
            log.warning("Events are not told: %s %s", answer.status, answer.message)
        await asyncio.sleep(min(answer.rest, 60.0))

    def _may(self, key: ObjectKey) -> bool:
        rule, now = self._allowance, self._clocks.boot()
        if len(self._spent) > _WAITING:
            self._spent = {one: at for one, at in self._spent.items() if _left(at, now, rule.each_after) > 0}
        own = _spend(self._spent.get(key, (0.0, now)), now, rule.each_after)
        overall = _spend(self._overall, now, rule.overall_after)
        if own[0] > rule.each or overall[0] > rule.overall:
            return False
        self._spent[key], self._overall = own, overall
        return True

    def _event(self, written: Written, transition: Transition) -> Document:
        key = written.key
        unique = f"{int(self._clocks.chance() * 16**16):016x}"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{key.name[:_LONGEST_NAME]}.{unique}", "namespace": key.namespace},
            "eventTime": self._clocks.wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": transition.type,
            "reason": transition.reason[:128],
            "type": "Normal" if transition.good else "Warning",
            "note": transition.note.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
            "regarding": {
                "apiVersion": VERSION,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": written.uid,
            },
        }


def _left(spent: tuple[float, float], now: float, after: float) -> float:
    """What of an allowance is still spent now; one is earned back every `after` seconds."""
    return max(0.0, spent[0] - (now - spent[1]) / after)


def _spend(spent: tuple[float, float], now: float, after: float) -> tuple[float, float]:
    return _left(spent, now, after) + 1, now
