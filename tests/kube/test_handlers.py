from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import kopf
from tests.harness.facts import wait_for

from northgate.kube import handlers
from northgate.kube.access import Access
from northgate.kube.pace import Pace
from northgate.kube.thread import Inside, Patience, Supervised, Work

QUICK = Pace(first=0.02, longest=0.1)
IMPATIENT = Patience(beat=0.02, hung=0.3, leave=2)


@asynccontextmanager
async def kept_up(work: Work[int], take: Callable[[int], None] = lambda _: None) -> AsyncIterator[Supervised[int]]:
    found = Supervised(work, take, pace=QUICK, patience=IMPATIENT)
    task = asyncio.create_task(found.run())
    yield found
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(fact: Callable[[], object], what: str) -> None:
    async def holds() -> object:
        return fact()

    await wait_for(holds, what)


async def test_news_cross_over_in_order_and_whole() -> None:
    got: list[int] = []

    async def work(inside: Inside[int]) -> None:
        for number in range(5000):
            inside.hand(number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await inside.stop.wait()

    async with kept_up(work, got.append) as found:
        await until(lambda: len(got) == 5000, "all news")
        assert got == list(range(5000))
        assert found.restarts.running
        assert found.restarts.count == 0


async def test_work_runs_in_a_thread_of_its_own_and_is_told_to_stop() -> None:
    ended: list[str] = []

    async def work(inside: Inside[int]) -> None:
        await inside.stop.wait()
        ended.append(threading.current_thread().name)

    async with kept_up(work) as found:
        await until(lambda: found.restarts.running, "it runs")
    assert ended == ["northgate-handlers"]


async def test_work_that_ends_or_fails_is_started_anew() -> None:
    starts: list[int] = []

    async def work(inside: Inside[int]) -> None:
        starts.append(len(starts))
        match len(starts):
            case 1:
                return
            case 2:
                raise ValueError("broken")
            case 3:
                raise SystemExit(3)
        await inside.stop.wait()

    whys: set[str] = set()
    async with kept_up(work) as found:

        def seen() -> bool:
            whys.add(found.restarts.why)
            return len(starts) == 4

        await until(seen, "a fourth start")
        assert found.restarts.count == 3
    assert any("broken" in why for why in whys)


async def test_work_that_hangs_is_left_alone_and_heard_no_more() -> None:
    wake, woken = threading.Event(), threading.Event()
    got: list[int] = []
    starts: list[int] = []

    async def work(inside: Inside[int]) -> None:
        starts.append(1)
        if len(starts) == 1:
            wake.wait(10)
            inside.hand(1)
            woken.set()
        else:
            inside.hand(2)
        await inside.stop.wait()

    async with kept_up(work, got.append) as found:
        await until(lambda: got == [2], "others took over")
        assert "hang" in found.restarts.why
        turns = time.monotonic()
        wake.set()
        await asyncio.to_thread(woken.wait, 5)
        assert time.monotonic() - turns < 2
        assert got == [2]


async def test_work_can_be_asked_for_anew() -> None:
    starts: list[int] = []

    async def work(inside: Inside[int]) -> None:
        starts.append(1)
        await inside.stop.wait()

    async with kept_up(work) as found:
        await until(lambda: found.restarts.running, "it runs")
        found.restart("a kind appeared")
        await until(lambda: len(starts) == 2, "a second start")
        assert found.restarts.why == "a kind appeared"


def test_handlers_write_nothing() -> None:
    registry = handlers.registry(Access("https://x"), lambda _kind, _seen, _gone: None, AsyncExitStack())
    assert len(registry._watching.get_all_handlers()) == 3
    for other in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(other.get_all_handlers()) == []
    settings = handlers.settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.process.ultimate_exiting_timeout is None
    assert list(kopf.get_default_registry()._watching.get_all_handlers()) == []
