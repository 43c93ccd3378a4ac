"""Is another installation at work on the same objects? It is told by its field manager, and alive while its Lease is.

Each installation writes statuses under a name that says which Lease it holds, and forces nothing upon another's. Of two
installed by mistake the first keeps what it wrote; the second is refused by the server, leaves it, and says so. When
the other's Lease is gone or does not change any more, what it left is taken over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from northgate.kube.calls import Answer, Api
from northgate.kube.lease import Sight, Terms, seen

_PREFIX = "northgate-status"
_LONGEST = 128
_LOOK_EVERY = 5.0
_CONFLICT = re.compile(r'^conflict with "([^"]+)"')


def status_manager(namespace: str, lease: str) -> str:
    """The field manager of statuses for the installation with this Lease. A namespace has no dot, so it reads back."""
    name = f"{_PREFIX}.{namespace}.{lease}"
    if len(name) > _LONGEST:
        raise ValueError(f"the Lease's name {lease!r} is too long; with its namespace it may have 110 characters")
    return name


def conflicting(answer: Answer) -> tuple[str, ...]:
    """The field managers whose fields a refused apply would have changed; none if it was refused for its version."""
    causes = (answer.document.get("details") or {}).get("causes") or ()
    said = (str(one.get("message", "")) for one in causes if one.get("reason") == "FieldManagerConflict")
    return tuple(dict.fromkeys(found.group(1) for found in map(_CONFLICT.match, said) if found is not None))


class Life(StrEnum):
    """Whether another installation is at work. Unknown: its Lease may not be read."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Rival:
    life: Life
    looked: float
    sight: Sight | None = None


class Rivals:
    """Looks at other installations' Leases, each at most once in some seconds. `clock` as for the elector."""

    def __init__(self, api: Api, manager: str, clock: Callable[[], float], terms: Terms | None = None) -> None:
        self._api = api
        self._manager = manager
        self._clock = clock
        self._terms = terms or Terms()
        self._rivals: dict[str, _Rival] = {}

    def among(self, managers: tuple[str, ...]) -> str:
        """The first of these field managers that is another installation's; empty when none is."""
        return next((one for one in managers if one != self._manager and one.startswith(f"{_PREFIX}.")), "")

    def met(self) -> dict[str, Life]:
        """Every installation that was met, by its field manager."""
        return {manager: rival.life for manager, rival in self._rivals.items()}

    async def life(self, manager: str) -> Life:
        """Whether the installation with this field manager is at work. One met for the first time is given a while."""
        before = self._rivals.get(manager)
        if before is None or self._clock() - before.looked >= _LOOK_EVERY:
            self._rivals[manager] = await self._look(manager, before.sight if before is not None else None)
        return self._rivals[manager].life

    async def _look(self, manager: str, before: Sight | None) -> _Rival:
        _, namespace, lease = manager.split(".", 2)
        answer = await self._api.request("GET", f"apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}")
        now = self._clock()
        if answer.status == HTTPStatus.NOT_FOUND:
            return _Rival(Life.GONE, now)
        if not answer.ok:
            return _Rival(Life.UNKNOWN, now, before)
        sight = seen(answer.document, before, now, self._terms)
        # A released Lease too is given its time: between two of its replicas an installation is not gone.
        return _Rival(Life.GONE if now >= sight.since + sight.lasts else Life.ALIVE, now, sight)
