"""No request fails because of a configuration change: random valid changes under load, through a real Envoy.

`HITLESS_SEED` replays a run; `HITLESS_CHANGES` makes it longer or shorter.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.edge import RunningEdge
from tests.harness.envoy import EnvoyError
from tests.hitless import changes
from tests.hitless.drill import Drill
from tests.hitless.site import ELSEWHERE, Host, documents

from northgate.deliver import order
from northgate.deliver.order import Gates, Verdict
from northgate.xds.session import Terms

pytestmark = [pytest.mark.envoy, pytest.mark.slow]

CHANGES = int(os.environ.get("HITLESS_CHANGES", "100"))
SHORT = Terms(gates=Gates(grace=0.5))
"""Clusters leave soon after their last use, so that they do during the test, and come again, too."""


@pytest.fixture
async def drill(request: pytest.FixtureRequest, envoy_binary: Path, tmp_path: Path) -> AsyncIterator[Drill]:
    """An edge under load."""
    delta = getattr(request, "param", "delta") == "delta"
    async with RunningEdge(ports=(80, 443, ELSEWHERE), delta=delta) as edge:
        edge.plane.server.options = replace(edge.plane.server.options, terms=SHORT)
        async with Drill(edge, changes.founding(), tmp_path) as drill:
            yield drill


@pytest.mark.parametrize("drill", ["delta", "state"], indirect=True)
async def test_no_request_notices_random_changes(drill: Drill) -> None:
    seed = int(os.environ.get("HITLESS_SEED") or secrets.randbits(32))
    try:
        await drill.random_changes(CHANGES, random.Random(seed))
        drill.load.assert_clean(at_least=1000)
    except Exception as error:
        error.add_note(f"HITLESS_SEED={seed} replays {drill.told()}")
        raise
    stats = await drill.edge.envoy.stats()
    assert stats["listener_manager.listener_modified"] == 0
    assert stats["cluster_manager.cluster_added"] > 10
    assert stats["cluster_manager.cluster_removed"] > 5
    assert {name: count for name, count in stats.items() if name.endswith("update_rejected") and count} == {}


async def fresh_pools(drill: Drill, most: int = 60) -> bool:
    """Switch hosts to pools that are new; whether a request is answered 503 for it."""
    rng = random.Random(1)
    for _ in range(most):
        await drill.change([changes.swap_to_new(changes.prune(drill.site, rng), rng)])
        await drill.load.more(10)
        if any("answered Answer(status=503" in entry.error for entry in drill.load.unexpected):
            return True
    return False


async def test_routes_that_come_before_their_clusters_are_found(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    in_order = order.rank
    monkeypatch.setattr(order, "rank", lambda type_url: (-in_order(type_url)[0], type_url))
    monkeypatch.setattr(order, "may_switch", lambda **_: Verdict.GO)
    assert await fresh_pools(drill)


async def test_clusters_that_leave_before_their_routes_are_found(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "may_remove", lambda *_: Verdict.GO)
    assert await fresh_pools(drill)


async def test_one_lost_request_is_found(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = drill.edge.upstreams["echo-a"]
    answer, lost = upstream.answer, iter([True])
    monkeypatch.setattr(
        upstream, "answer", lambda seen: replace(answer(seen), drop="reset" if next(lost, False) else "")
    )
    await drill.load.more(50)
    assert len(drill.load.unexpected) == 1, drill.load.summary()


async def test_a_change_that_does_not_arrive_is_found(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill.edge.plane, "take", lambda *_: None)
    drill.patience = 1.0
    with pytest.raises(EnvoyError, match="steady-0 answers"):
        await drill.change([replace(drill.site, hosts={**drill.site.hosts, "steady-0": Host((("pool-2", 1),))})])


async def test_answers_of_before_are_found_after_the_change(drill: Drill) -> None:
    after = replace(drill.site, certificate=1, hosts={**drill.site.hosts, "steady-0": Host((("pool-2", 1),))})
    drill.expectations.expect(after, 0.0)
    await drill.load.more(50)
    drill.load.assert_clean()
    drill.expectations.settle(asyncio.get_running_loop().time())
    await drill.load.more(300)
    found = {entry.error for entry in drill.load.unexpected}
    assert any(error.startswith("steady-0 answered") for error in found)
    assert "a certificate that is not served any more" in found
    assert all(error.startswith(("steady-0", "a certificate")) for error in found)


async def test_a_change_of_a_listener_is_counted(drill: Drill) -> None:
    key, document = next(iter(documents(drill.site, drill.place).items()))
    listeners = [{**one, "name": f"{one['name']}-renamed"} for one in document["spec"]["listeners"]]
    await drill.edge.apply([(key, {**document, "spec": {"listeners": listeners}})])
    stats = await drill.edge.envoy.stats("listener_manager")
    assert stats["listener_manager.listener_modified"] > 0
