"""Which replica writes? The holder of a Lease, for as long as its own clock says that nobody else can hold it.

Leases do not fence. So the holder counts from before it asked, stops `deadline` seconds later even in the middle of an
outage, and a call it began at the last moment has ended before another takes over. Others judge a holder by whether the
Lease changes while they look, by their own clock: what is written in it is never compared with any clock.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus

from northgate.kube.calls import Answer, Api, Document
from northgate.kube.clocks import Clocks

_SPREAD = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. A Lease that does not change for `duration` is taken over; its holder counts on it for `deadline`.

    `timeout` is what one call may take, of the elector and of everything that is written under the Lease. With the
    standard terms a holder that died is replaced within about 15 seconds.
    """

    duration: float = 12.0
    deadline: float = 8.0
    retry: float = 2.0
    timeout: float = 3.0

    def __post_init__(self) -> None:
        if not self.retry + self.timeout < self.deadline:
            raise ValueError("a holder must be able to try twice: make `deadline` longer than `retry` and `timeout`")
        if not self.deadline + self.timeout < self.duration:
            raise ValueError("a last call must end before others take over: `deadline` + `timeout` < `duration`")


@dataclass(frozen=True, slots=True)
class Claim:
    """Which Lease, and who asks for it. `identity` is of one process: a restarted one is somebody else."""

    namespace: str
    name: str
    identity: str

    @property
    def path(self) -> str:
        """Where Leases of the namespace are."""
        return f"apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"


@dataclass(frozen=True, slots=True)
class Sight:
    """How a Lease was last seen: its version, whose it is, and since when, by our clock, it has not changed."""

    version: str
    holder: str
    since: float
    lasts: float
    document: Document

    def over(self) -> float:
        """When its holder no longer counts on it, by our clock."""
        return self.since + self.lasts if self.holder else self.since


def seen(lease: Document, before: Sight | None, now: float, terms: Terms) -> Sight:
    """The sight of a Lease that was read at `now`. Any change of it is a sign of life, whatever times it names."""
    spec = lease.get("spec") or {}
    version = str(lease["metadata"]["resourceVersion"])
    since = before.since if before is not None and before.version == version else now
    said = spec.get("leaseDurationSeconds")
    # A replica of another release may have longer terms; one that says hours shall not stop everything for hours.
    lasts = min(max(terms.duration, float(said or 0)), 5 * terms.duration)
    return Sight(version, str(spec.get("holderIdentity") or ""), since, lasts, lease)


class Elector:
    """Asks for the Lease as long as it runs."""

    def __init__(self, api: Api, claim: Claim, clocks: Clocks, terms: Terms | None = None) -> None:
        self._api = api
        self._claim = claim
        self._clocks = clocks
        self._terms = terms or Terms()
        self._sight: Sight | None = None
        self._until = float("-inf")
        self._said = ""

    def holds(self) -> bool:
        """Whether we may write now. To be asked before each write, not remembered."""
        return self._clocks.boot() < self._until

    @property
    def holder(self) -> str:
        """Whose the Lease was when it was last seen, empty for nobody's."""
        return self._sight.holder if self._sight is not None else ""

    async def run(self) -> None:
        """Ask for the Lease, and keep it, until cancelled. `release` comes after."""
        while True:
            await self.step()
            await asyncio.sleep(self._rest())

    async def step(self) -> None:
        """One round: renew what is ours, else look at it, and take it when it is nobody's any more."""
        if self._sight is None or self._sight.holder != self._claim.identity:
            await self._look()
        if self._sight is not None and self._ours_to_take(self._sight):
            await self._write(self._sight)

    async def release(self) -> None:
        """Give the Lease up, so that another has it at once; call it when nothing is written any more."""
        held, self._until = self.holds(), float("-inf")
        sight, self._sight = self._sight, None
        if held and sight is not None:
            spec = {**sight.document["spec"], "holderIdentity": "", "renewTime": self._stamp()}
            await self._put({**sight.document, "spec": spec})

    async def _look(self) -> None:
        answer = await self._api.request("GET", f"{self._claim.path}/{self._claim.name}")
        if answer.ok:
            self._sight = seen(answer.document, self._sight, self._clocks.boot(), self._terms)
            self._say(f"the Lease is held by {self._sight.holder}" if self._sight.holder else "the Lease is free")
        elif answer.status == HTTPStatus.NOT_FOUND:
            self._sight = None
            await self._create()
        else:
            self._say(f"the Lease cannot be read ({answer.status} {answer.message})")

    def _ours_to_take(self, sight: Sight) -> bool:
        return sight.holder == self._claim.identity or self._clocks.boot() >= sight.over()

    async def _create(self) -> None:
        metadata = {"name": self._claim.name, "namespace": self._claim.namespace}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        asked = self._clocks.boot()
        answer = await self._api.request("POST", self._claim.path, {**lease, "spec": self._spec({})})
        self._taken(answer, asked)

    async def _write(self, sight: Sight) -> None:
        """Write our name, or renew it. The version in it lets the server refuse if anybody wrote since."""
        asked = self._clocks.boot()
        answer = await self._put({**sight.document, "spec": self._spec(sight.document.get("spec") or {})})
        self._taken(answer, asked)

    async def _put(self, lease: Document) -> Answer:
        return await self._api.request("PUT", f"{self._claim.path}/{self._claim.name}", lease)

    def _spec(self, old: Document) -> Document:
        ours = old.get("holderIdentity") == self._claim.identity
        return {
            **old,
            "holderIdentity": self._claim.identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": old.get("acquireTime") if ours else self._stamp(),
            "renewTime": self._stamp(),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if ours or not old else 1),
        }

    def _taken(self, answer: Answer, asked: float) -> None:
        if answer.ok:
            self._sight = seen(answer.document, self._sight, self._clocks.boot(), self._terms)
            # Counted from before the call: by then at the latest the server can have written it.
            self._until = asked + self._terms.deadline
            self._say("the Lease is ours")
        elif answer.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            # Somebody wrote between, or a call of ours that went unanswered: the next round reads who.
            self._sight, self._until = None, float("-inf")
        else:
            self._say(f"the Lease cannot be written ({answer.status} {answer.message})")

    def _rest(self) -> float:
        """Until the next round: the usual time, or when another's Lease ends if that is sooner."""
        usual = self._terms.retry * (1 + _SPREAD * self._clocks.chance())
        sight = self._sight
        if sight is None or sight.holder in ("", self._claim.identity):
            return usual
        left = sight.over() - self._clocks.boot()
        return min(usual, left + _SPREAD * self._clocks.chance()) if left > 0 else usual

    def _stamp(self) -> str:
        return self._clocks.wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.info("%s (Lease %s/%s)", what, self._claim.namespace, self._claim.name)
