"""How do users learn what became of their objects? Statuses go to the API server: by the holder, on change, one by one.

Each write names the version of the object it was decided on: one that was held up, for whatever reason, is refused when
anybody has written since. What the server says is taken as observed, so a status that is there is not written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from northgate.api.crds import KINDS
from northgate.api.parse import VERSION
from northgate.kube.backlog import Backlog
from northgate.kube.calls import APPLY, Answer, Api, Document
from northgate.kube.clocks import Clocks
from northgate.kube.pace import Pace
from northgate.kube.rivals import Life, Rivals, conflicting
from northgate.kube.settled import adopted, outdated, same, whole
from northgate.world.key import ObjectKey

_PLURALS = {kind.name: kind.plural for kind in KINDS}
_JSON_PATCH = "application/json-patch+json"
_LOOK_AGAIN = 0.5
_CONTESTED = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast statuses are written: writes a second, at once, under way, and seconds in which changes become one."""

    rate: float = 400.0
    burst: int = 400
    at_once: int = 16
    gather: float = 0.25
    pace: Pace = field(default_factory=Pace)
    """How long to rest after failures."""


@dataclass(frozen=True, slots=True)
class Office:
    """In whose name is written, a field manager (`status_manager`), and whether it may be now (`Elector.holds`)."""

    manager: str
    holds: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Observed:
    """An object's status as the cluster has it."""

    version: str
    uid: str
    status: Document


@dataclass(frozen=True, slots=True)
class Written:
    """A status that was written, and the one it replaced."""

    key: ObjectKey
    uid: str
    before: Document
    after: Document


class StatusWriter:
    """Keeps the cluster's statuses as `put` says while the Lease is held. Every method belongs to the loop of `run`.

    `told` is called after each write.
    """

    def __init__(
        self,
        api: Api,
        office: Office,
        clocks: Clocks,
        told: Callable[[Written], None] = lambda _: None,
        limits: Limits | None = None,
    ) -> None:
        self._api = api
        self._manager = office.manager
        self._holds = office.holds
        self._clock = clocks.boot
        self._chance = clocks.chance
        self._told = told
        self._limits = limits or Limits()
        self._rivals = Rivals(api, office.manager, clocks.boot)
        self._backlog = Backlog(self._limits.rate, self._limits.burst)
        self._wanted: dict[ObjectKey, Document] = {}
        self._observed: dict[ObjectKey, Observed] = {}
        self._contested: dict[ObjectKey, str] = {}
        self._busy: set[ObjectKey] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._said: dict[str, str] = {}
        self._bell = asyncio.Event()

    def put(self, documents: Mapping[ObjectKey, Document]) -> None:
        """These are the statuses now, of all objects; what was wanted before counts no more."""
        for key in self._wanted.keys() - documents.keys():
            del self._wanted[key]
            self._backlog.forget(key)
        for key, document in documents.items():
            old = self._wanted.get(key)
            self._wanted[key] = document
            if old is not document and old != document:
                self._consider(key)

    def observe(self, key: ObjectKey, found: Mapping[str, Any] | None) -> None:
        """The cluster has this object, as it was listed or watched; None: it is gone. News older than known is not."""
        if found is None:
            self._forget(key)
            return
        observed = _observed(found)
        known = self._observed.get(key)
        if known is not None and known.uid == observed.uid and _earlier(observed.version, known.version):
            return
        self._observed[key] = observed
        self._consider(key)

    def waiting(self) -> int:
        """Objects whose status is to be written, written now, or resting after a failure."""
        return len(self._backlog) + len(self._busy)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often by kind and result: `ok`, `noop` (it was there), `conflict`, `error`."""
        return self._counts

    def contested(self) -> Mapping[ObjectKey, str]:
        """Objects whose status another installation writes, and its field manager."""
        return self._contested

    def rivals(self) -> Mapping[str, Life]:
        """Other installations that were met, by field manager."""
        return self._rivals.met()

    async def run(self) -> None:
        """Write what is to be written until cancelled."""
        async with asyncio.TaskGroup() as writes:
            while True:
                self._bell.clear()
                while self._holds() and len(self._busy) < self._limits.at_once:
                    key = self._backlog.next(self._clock())
                    if key is None:
                        break
                    self._busy.add(key)
                    writes.create_task(self._attempt(key))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._bell.wait(), self._pause())

    def _pause(self) -> float:
        wake = self._backlog.wake(self._clock())
        if wake is None or not self._holds() or len(self._busy) >= self._limits.at_once:
            return _LOOK_AGAIN
        return min(_LOOK_AGAIN, max(0.0, wake - self._clock()))

    def _consider(self, key: ObjectKey) -> None:
        """Let the object wait if its status is not what it should be."""
        wanted = self._wanted.get(key)
        if wanted is None or key in self._busy:
            return
        observed = self._observed.get(key)
        if observed is not None and _settled(wanted, observed):
            self._backlog.forget(key)
            self._contested.pop(key, None)
            self._counts[key.kind, "noop"] += 1
            return
        self._backlog.want(key, self._clock() + self._limits.gather)
        self._bell.set()

    def _forget(self, key: ObjectKey) -> None:
        self._observed.pop(key, None)
        self._contested.pop(key, None)
        self._backlog.forget(key)

    async def _attempt(self, key: ObjectKey) -> None:
        try:
            await self._write(key)
        except Exception:
            log.exception("the status of %s was not written", key)
            self._fail(key, "error", Answer(0))
        finally:
            self._busy.discard(key)
            if key in self._wanted and key in self._observed and not _settled(self._wanted[key], self._observed[key]):
                self._backlog.want(key, self._clock() + self._limits.gather)
            self._bell.set()

    async def _write(self, key: ObjectKey) -> None:
        observed = self._observed.get(key) or await self._read(key)
        wanted = self._wanted.get(key)
        if observed is None or wanted is None or _settled(wanted, observed) or not await self._may(key):
            return
        status = adopted(wanted, observed.status)
        answer = await self._apply(key, observed, status, force=False)
        managers = conflicting(answer)
        if managers and await self._ours_to_force(key, managers):
            answer = await self._apply(key, observed, status, force=True)
        elif managers:
            self._counts[key.kind, "conflict"] += 1
            return
        self._finish(key, observed, answer)
        if answer.ok and not same(status, self._observed[key].status):
            await self._sweep(key, self._observed[key], status)

    async def _may(self, key: ObjectKey) -> bool:
        """Whether the object is ours to write, as far as is known before the server is asked."""
        rival = self._contested.get(key)
        return rival is None or await self._ours_to_force(key, (rival,))

    async def _ours_to_force(self, key: ObjectKey, managers: tuple[str, ...]) -> bool:
        """People and other tools have no say in a status; another installation has, while it is at work."""
        rival = self._rivals.among(managers)
        life = await self._rivals.life(rival) if rival else Life.GONE
        if life is Life.GONE:
            self._contested.pop(key, None)
            return True
        self._contested[key] = rival
        self._backlog.rest(key, self._clock() + _CONTESTED * (1 + self._chance() / 10))
        self._say(rival, f"another installation writes statuses here ({rival}, {life}); nothing of it is overwritten")
        return False

    async def _apply(self, key: ObjectKey, observed: Observed, status: Document, *, force: bool) -> Answer:
        body = {
            "apiVersion": VERSION,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": observed.version},
            "status": status,
        }
        return await self._patch(key, body, APPLY, force=str(force).lower())

    async def _sweep(self, key: ObjectKey, observed: Observed, status: Document) -> None:
        """Take away what others left among what is ours: applying leaves alone what somebody else wrote."""
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": observed.version},
            {"op": "replace", "path": "/status", "value": whole(status, observed.status)},
        ]
        self._finish(key, observed, await self._patch(key, patch, _JSON_PATCH))

    async def _patch(self, key: ObjectKey, body: Any, content: str, **query: str) -> Answer:
        # Asked at the last moment: a process that was frozen on the way here finds that it holds nothing any more.
        if not self._holds():
            return Answer(HTTPStatus.CONFLICT, {"message": "the Lease is not ours any more"})
        path = f"{_path(key)}/status?{urlencode({'fieldManager': self._manager, **query})}"
        return await self._api.request("PATCH", path, body, content)

    async def _read(self, key: ObjectKey) -> Observed | None:
        answer = await self._api.request("GET", _path(key))
        if answer.ok:
            self._observed[key] = _observed(answer.document)
            return self._observed[key]
        self._finish(key, None, answer)
        return None

    def _finish(self, key: ObjectKey, before: Observed | None, answer: Answer) -> None:
        if answer.ok and before is not None:
            self._counts[key.kind, "ok"] += 1
            self._backlog.settle(key)
            self._said.pop(str(key), None)
            after = self._observed[key] = _observed(answer.document)
            self._told(Written(key, after.uid, before.status, after.status))
            return
        # Whatever it was decided on is not so, or not known, any more: the next attempt reads the object.
        self._observed.pop(key, None)
        match answer.status:
            case HTTPStatus.NOT_FOUND:
                self._fail(key, "noop", answer)
            case HTTPStatus.CONFLICT:
                self._fail(key, "conflict", answer)
            case _:
                self._fail(key, "error", answer)
                self._say(str(key), f"the status of {key} was not written: {answer.status} {answer.message}")

    def _fail(self, key: ObjectKey, result: str, answer: Answer) -> None:
        self._counts[key.kind, result] += 1
        if key in self._wanted:
            rest = self._limits.pace.rest(self._backlog.fail(key), self._chance(), answer.rest)
            self._backlog.rest(key, self._clock() + rest)

    def _say(self, about: str, what: str) -> None:
        if self._said.get(about) != what:
            self._said[about] = what
            log.warning("%s", what)


def _settled(wanted: Document, observed: Observed) -> bool:
    # A replica whose view of the cluster lags behind says nothing of generations that somebody saw already.
    return outdated(wanted, observed.status) or same(adopted(wanted, observed.status), observed.status)


def _observed(found: Mapping[str, Any]) -> Observed:
    metadata = found.get("metadata") or {}
    status = found.get("status")
    version, uid = str(metadata.get("resourceVersion", "")), str(metadata.get("uid", ""))
    return Observed(version, uid, status if isinstance(status, dict) else {})


def _earlier(version: str, known: str) -> bool:
    """Whether one version of an object came before another: they are numbers that grow."""
    return version.isdigit() and known.isdigit() and int(version) < int(known)


def _path(key: ObjectKey) -> str:
    return f"apis/{VERSION}/namespaces/{key.namespace}/{_PLURALS[key.kind]}/{key.name}"
