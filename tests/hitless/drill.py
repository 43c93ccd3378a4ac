"""How is a site changed under load? Change by change or in bursts, each waited for until its answers are seen."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.certificates import TlsPairs
from tests.harness.edge import RunningEdge
from tests.harness.load import Kind, Load
from tests.hitless import changes
from tests.hitless.expectations import Expectations
from tests.hitless.site import ELSEWHERE, PATH, Answer, Place, Site, answer_of, answers, documents, hostname

from northgate.ops.exchange import ClientTls, Outcome, Reply, Request, Target
from northgate.ops.requests import Client
from northgate.ops.scenery import HTTP_UPSTREAMS, Pair

HOSTS = (*changes.STEADY, *changes.PASSING)

_SLOW = f"{PATH}?delay=40ms"
_MOST_BETWEEN = 60
"""Requests between two changes."""

_STREAK = 20
"""So many right answers in a row show that a change arrived whose answers were all right before, too."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How clients reach a host: in clear, over TLS, over TLS with HTTP/2."""

    clear: Target
    tls: Target
    h2: Target


class Drill:
    """An edge that serves a site, and the load on it while the `async with` block runs.

    `patience`: seconds within which a change is to be seen.
    """

    def __init__(self, edge: RunningEdge, site: Site, folder: Path) -> None:
        self.edge = edge
        self.site = site
        self.done: list[str] = []
        self.patience = 10.0
        pairs = TlsPairs()
        issued = [pairs.issue("*.example.test") for _ in range(changes.PAIRS)]
        self.place = Place(
            {name: edge.upstreams.port(name) for name in HTTP_UPSTREAMS},
            tuple(Pair(pair.certificate, pair.key, pairs.ca) for pair in issued),
        )
        self._ca = pairs.write_ca(folder)
        self.expectations = Expectations(site, HOSTS, [pair.serial for pair in issued])
        self._client = Client(5)
        self.load = Load([kind for host in HOSTS for kind in self._kinds(host)], rate=600)

    async def __aenter__(self) -> Self:
        await self.edge.serve(documents(self.site, self.place).items())
        await self._seen_everywhere({host: (answers(host, [self.site]), frozenset()) for host in HOSTS})
        await self.load.__aenter__()
        await self.load.reach(100)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        await self.load.__aexit__(kind, error, trace)

    async def change(self, sites: Sequence[Site]) -> None:
        """Move to these sites one right after the other, and wait until the last one is seen to be in force."""
        for site in sites:
            self.expectations.expect(site, self._now())
            before, after = documents(self.site, self.place), documents(site, self.place)
            self.site = site
            self.edge.plane.take(
                [(key, document) for key, document in after.items() if before.get(key) != document],
                before.keys() - after.keys(),
            )
        await self.edge.confirmed()
        await self._seen_everywhere(self.expectations.moving())
        await self._certificate_seen()
        await self._elsewhere_seen()
        self.expectations.settle(self._now())

    async def random_changes(self, count: int, rng: random.Random) -> None:
        """Make so many random changes; about one time in five a few of them follow each other without a pause."""
        while len(self.done) < count:
            burst = rng.randint(2, 6) if rng.random() < 0.2 else 1
            sites: list[Site] = []
            for _ in range(burst):
                name, site = changes.draw(sites[-1] if sites else self.site, rng)
                sites.append(site)
                self.done.append(name)
            await self.change(sites)
            await self.load.more(rng.randint(1, _MOST_BETWEEN))

    def told(self) -> str:
        """What was done, for a failure's message."""
        return f"changes: {dict(Counter(self.done))}; the last ones: {self.done[-8:]}"

    def _kinds(self, host: str) -> list[Kind]:
        ways, judge = self._ways(host), self.expectations.judge(host)
        name = hostname(host)
        return [
            Kind(f"{host} clear kept", ways.clear, name, PATH, share=4, judge=judge),
            Kind(f"{host} clear new", ways.clear, name, PATH, keep=False, share=1, judge=judge),
            Kind(f"{host} clear slow", ways.clear, name, _SLOW, share=1, judge=judge),
            Kind(f"{host} TLS kept", ways.tls, name, PATH, share=3, judge=judge),
            Kind(f"{host} TLS new", ways.tls, name, PATH, keep=False, share=0.5, judge=judge),
            Kind(f"{host} h2 kept", ways.h2, name, PATH, share=1, judge=judge),
        ]

    def _ways(self, host: str) -> Ways:
        tls = ClientTls(hostname(host), self._ca)
        clear, secure = (("127.0.0.1", self.edge.ports[port]) for port in (80, 443))
        return Ways(Target(clear), Target(secure, tls), Target(secure, tls, http=2))

    async def _seen_everywhere(self, moving: dict[str, tuple[frozenset[Answer], frozenset[Answer]]]) -> None:
        for host, (right, new) in moving.items():
            ways = self._ways(host)
            for target in (ways.clear, ways.tls):
                await self._seen(host, target, right, new)

    async def _seen(self, host: str, target: Target, right: frozenset[Answer], new: frozenset[Answer]) -> None:
        """One answer that only the last site gives, or many right ones in a row where it gives none of its own."""

        async def seen() -> bool:
            if new:
                return answer_of(await self._ask(host, target)) in new
            return all([answer_of(await self._ask(host, target)) in right for _ in range(_STREAK)])

        await self._wait_for(seen, f"{host} answers {sorted(new or right)}")

    async def _certificate_seen(self) -> None:
        async def seen() -> bool:
            host = changes.STEADY[0]
            reply = await self._ask(host, self._ways(host).tls, keep=False)
            return reply.serial == self.expectations.serial

        await self._wait_for(seen, "the certificate is served")

    async def _elsewhere_seen(self) -> None:
        host = changes.STEADY[0]
        target = Target(("127.0.0.1", self.edge.ports[ELSEWHERE]))
        wanted = answers(host, [self.site]) if self.site.elsewhere else frozenset()

        async def seen() -> bool:
            reply = await self._ask(host, target, keep=False)
            return answer_of(reply) in wanted if wanted else reply.outcome is Outcome.REFUSED

        await self._wait_for(seen, f"port {ELSEWHERE} is {'open' if wanted else 'closed'}")

    async def _ask(self, host: str, target: Target, *, keep: bool = True) -> Reply:
        return await self._client.send(target, Request("GET", PATH, hostname(host)), keep=keep)

    async def _wait_for(self, fact: Callable[[], Awaitable[bool]], what: str) -> None:
        await self.edge.envoy.wait_for(fact, f"{what} after {self.told()}", self.patience)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
