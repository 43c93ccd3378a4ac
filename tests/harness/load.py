"""Whether requests fail while something happens: an open-loop client with a ledger of every request.

Requests start at their due time whatever became of the earlier ones, and are never repeated: what a user would have
met is what the ledger says. An answer counts as expected when its status is, an expected upstream gave it, and it is
the answer to this very request.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.harness.facts import wait_for

from northgate.ops.exchange import Outcome, Reply, Request, Target
from northgate.ops.requests import Client
from northgate.ops.verdict import echoed, ending, upstream_of

MARK = "x-load"
"""Request header with the number of the request; the upstream tells it back."""

Judge = Callable[[Reply, float], str]
"""Says what is wrong with an answer to a request that was due at a time of the loop's clock; empty when nothing is."""

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request, `share` of all in proportion to the other kinds.

    `keep` uses kept connections, else each request opens one. Without `upstreams` any echo upstream may answer.
    A `judge` decides instead of `statuses` and `upstreams`, for expectations that change while the load runs.
    """

    name: str
    target: Target
    host: str
    path: str = "/"
    keep: bool = True
    share: float = 1.0
    statuses: frozenset[int] = frozenset({200})
    upstreams: frozenset[str] = frozenset()
    judge: Judge | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in the ledger: `at` is its due time in seconds since the start, `seconds` counts from then.

    `error` is empty when all was as expected. `late` is how long after its due time it was sent.
    """

    number: int
    at: float
    late: float
    seconds: float
    kind: str
    outcome: Outcome
    status: int
    upstream: str
    reused: bool
    serial: str
    error: str


class Load:
    """Sends `rate` requests a second while the `async with` block runs; at its end waits for those in flight."""

    def __init__(self, kinds: Sequence[Kind], rate: float = 500.0, seconds: float = 10.0, seed: int = 0) -> None:
        """`seconds` bounds each request; `seed` fixes the order of kinds."""
        self.ledger: list[Entry] = []
        self.started = 0
        self._kinds = tuple(kinds)
        self._rate = rate
        self._client = Client(seconds)
        self._order = random.Random(seed)
        self._flying: dict[int, asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._begin = 0.0
        self._schedule: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._begin = asyncio.get_running_loop().time()
        self._schedule = asyncio.create_task(self._run())
        self._schedule.add_done_callback(self._note_failure)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._schedule is not None
        self._schedule.cancel()
        await asyncio.wait({self._schedule, *self._flying.values()})
        await self._client.close()
        if self._failure is not None:
            raise self._failure

    @property
    def unexpected(self) -> tuple[Entry, ...]:
        """The requests that went wrong, by due time."""
        return tuple(sorted((entry for entry in self.ledger if entry.error), key=lambda entry: entry.at))

    async def reach(self, requests: int, deadline: float = 60.0) -> None:
        """Wait until so many requests, counted from the start, have been sent and have ended."""

        async def reached() -> bool:
            if self._failure is not None:
                raise self._failure
            return self.started >= requests and all(number >= requests for number in self._flying)

        await wait_for(reached, f"{requests} requests have ended", deadline)

    async def more(self, requests: int, deadline: float = 60.0) -> None:
        """Wait until so many requests that start after now have ended, and all before them."""
        await self.reach(self.started + requests, deadline)

    def summary(self) -> str:
        """Totals, then what was unexpected: counts by kind and error, and the first few in full."""
        span = max((entry.at for entry in self.ledger), default=0.0)
        late = max((entry.late for entry in self.ledger), default=0.0)
        kinds = Counter(entry.kind for entry in self.ledger)
        wrong = self.unexpected
        lines = [
            f"{len(self.ledger)} requests over {span:.1f} s, at most {late:.3f} s late, {dict(kinds)}",
            f"{len(wrong)} unexpected",
            *(f"  {count} x {kind}: {error}" for (kind, error), count in _grouped(wrong)),
            *(f"  first: {entry}" for entry in wrong[:_SHOWN]),
        ]
        return "\n".join(lines)

    def assert_clean(self, at_least: int = 1) -> None:
        """Fail with the summary unless at least so many requests ended and all as expected."""
        assert len(self.ledger) >= at_least, self.summary()
        assert not self.unexpected, self.summary()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in itertools.count():
            due = number / self._rate
            await asyncio.sleep(max(0.0, self._begin + due - loop.time()))
            kind = self._order.choices(self._kinds, [kind.share for kind in self._kinds])[0]
            self._flying[number] = asyncio.create_task(self._one(number, due, kind))
            self._flying[number].add_done_callback(self._note_failure)
            self.started += 1

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        """Keep the first bug of the load itself: it must not pass for a request that went well."""
        if not task.cancelled() and self._failure is None:
            self._failure = task.exception()

    async def _one(self, number: int, due: float, kind: Kind) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - self._begin - due
        request = Request("GET", kind.path, kind.host, ((MARK, str(number)),))
        reply = await self._client.send(kind.target, request, keep=kind.keep)
        self.ledger.append(
            Entry(
                number=number,
                at=due,
                late=late,
                seconds=loop.time() - self._begin - due,
                kind=kind.name,
                outcome=reply.outcome,
                status=reply.status,
                upstream=upstream_of(reply) or "",
                reused=reply.reused,
                serial=reply.serial,
                error=error_of(kind, number, reply, self._begin + due),
            )
        )
        del self._flying[number]


def error_of(kind: Kind, number: int, reply: Reply, due: float) -> str:
    """Say what is wrong with an answer to a request due at that time; empty when nothing is."""
    if reply.outcome is not Outcome.ANSWERED:
        return f"{ending(reply)} on a {'kept' if reply.reused else 'new'} connection"
    judged = kind.judge(reply, due) if kind.judge is not None else _unlike(kind, reply)
    told = echoed(reply)
    seen = told.get("headers", {}).get(MARK)
    return judged or ("" if not told or seen == [str(number)] else f"the answer to another request: {seen}")


def _unlike(kind: Kind, reply: Reply) -> str:
    upstream = upstream_of(reply)
    if reply.status not in kind.statuses:
        return f"status {reply.status}"
    if not echoed(reply) or (kind.upstreams and upstream not in kind.upstreams):
        return f"answered by {upstream or 'no upstream'}"
    return ""


def _grouped(wrong: Sequence[Entry]) -> list[tuple[tuple[str, str], int]]:
    return Counter((entry.kind, entry.error) for entry in wrong).most_common()
