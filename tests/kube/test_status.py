"""Statuses in the cluster: written by the holder, once per change, on what the holder saw, and by one installation."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.harness.facts import wait_for
from tests.kube.leases import Held, calls, running
from tests.kube.rig.accounts import account
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Key, Kube, condition
from tests.kube.rig.fault_proxy import Answer as Given
from tests.kube.rig.fault_proxy import FaultProxy

from northgate.kube.calls import Api
from northgate.kube.clocks import Clocks, machine
from northgate.kube.events import Recorder
from northgate.kube.lease import Claim, Elector
from northgate.kube.pace import Pace
from northgate.kube.rivals import Life, status_manager
from northgate.kube.status import Limits, Office, StatusWriter
from northgate.world.key import ObjectKey

QUICK = Limits(gather=0.02, pace=Pace(first=0.05, longest=0.2))
MANAGER = status_manager("edge", "northgate")


def route(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "northgate.dev/v1alpha1",
        "kind": "Route",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "x", "port": 80}]}]},
    }


def key(namespace: str, name: str) -> ObjectKey:
    return ObjectKey("northgate.dev", "Route", namespace, name)


def status(ready: str = "True", *, generation: int = 1, time: str = "2026-01-01T00:00:00Z", **more: str) -> Any:
    def said(types: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "type": kind,
                "status": value,
                "reason": "Ready",
                "message": f"{kind} is {value}",
                "observedGeneration": generation,
                "lastTransitionTime": time,
            }
            for kind, value in types.items()
        ]

    parent = {"parentRef": {"name": "edge"}, "conditions": said({"Accepted": "True"})}
    return {
        "observedGeneration": generation,
        "conditions": said({"Programmed": ready, "Ready": ready, **more}),
        "parents": [parent],
    }


@dataclass
class Bench:
    """A writer at work in a namespace of a real API server. `mine` is switched by tests as the Lease is."""

    writer: StatusWriter
    kube: Kube
    namespace: str
    mine: list[bool]

    async def put(self, *names: str, seen: bool = True, **of: Any) -> None:
        """These Routes are wanted to have these statuses; with `seen` the writer observes them as a watch would."""
        if seen:
            for name in names:
                self.writer.observe(key(self.namespace, name), await self.kube.get(route(self.namespace, name)))
        self.writer.put({key(self.namespace, name): copy.deepcopy(of[name]) for name in of})

    async def idle(self) -> None:
        await wait_for(self._idle, "nothing waits")

    async def _idle(self) -> bool:
        return self.writer.waiting() == 0

    async def found(self, name: str) -> dict[str, Any]:
        return await self.kube.get(route(self.namespace, name))

    def count(self, result: str) -> int:
        return self.writer.counts().get(("Route", result), 0)


@asynccontextmanager
async def at_work(
    api: Api, kube: Kube, namespace: str, manager: str = MANAGER, clocks: Clocks | None = None
) -> AsyncIterator[Bench]:
    mine = [True]
    writer = StatusWriter(api, Office(manager, lambda: mine[0]), clocks or machine(), limits=QUICK)
    async with running(writer.run()):
        yield Bench(writer, kube, namespace, mine)


@pytest.fixture
async def bench(kube_api: KubeApi, kube: Kube, crds: object, namespace: str) -> AsyncIterator[Bench]:
    async with calls(kube_api.kubeconfig) as api, at_work(api, kube, namespace) as bench:
        yield bench


def version(found: dict[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


async def test_a_status_is_written_once_and_by_its_own_field_manager(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.put("r", r=status())
    await bench.idle()
    found = await bench.found("r")
    assert found["status"]["parents"][0]["conditions"][0]["type"] == "Accepted"
    assert condition(found, "Ready") == "True"
    managers = {one["manager"]: one for one in found["metadata"]["managedFields"]}
    assert (managers[MANAGER]["operation"], managers[MANAGER]["subresource"]) == ("Apply", "status")
    assert found["metadata"]["generation"] == 1
    await bench.put("r", r=status(time="2026-02-02T00:00:00Z"))
    await bench.idle()
    assert version(await bench.found("r")) == version(found)
    assert (bench.count("ok"), bench.count("error"), bench.count("conflict")) == (1, 0, 0)


async def test_changes_that_follow_hard_upon_each_other_are_one_write_of_the_last(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    for ready in ("Unknown", "False", "Unknown", "True"):
        await bench.put("r", r=status(ready))
    await bench.idle()
    assert condition(await bench.found("r"), "Ready") == "True"
    assert bench.count("ok") == 1


async def test_an_object_nobody_listed_yet_is_read_first(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.put(r=status())
    await bench.idle()
    assert condition(await bench.found("r"), "Ready") == "True"


async def test_a_new_leader_keeps_the_transition_times_that_users_know(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.put("r", r=status())
    await bench.idle()
    async with at_work(bench.writer._api, bench.kube, bench.namespace) as other:
        wanted = status("True", time="2026-03-03T00:00:00Z", Stalled="True")
        await other.put("r", r=wanted)
        await other.idle()
    found = (await bench.found("r"))["status"]
    times = {one["type"]: one["lastTransitionTime"] for one in found["conditions"]}
    assert times == {
        "Programmed": "2026-01-01T00:00:00Z",
        "Ready": "2026-01-01T00:00:00Z",
        "Stalled": "2026-03-03T00:00:00Z",
    }
    assert found["parents"][0]["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


async def test_who_does_not_hold_the_lease_writes_nothing_and_then_all_of_it(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    bench.mine[0] = False
    before = version(await bench.found("r"))
    await bench.put("r", r=status())
    await bench.kube.create(route(bench.namespace, "s"))
    async with at_work(bench.writer._api, bench.kube, bench.namespace) as leader:
        await leader.put("s", s=status())
        await leader.idle()
    assert version(await bench.found("r")) == before
    bench.mine[0] = True
    await bench.idle()
    assert condition(await bench.found("r"), "Ready") == "True"


async def test_a_write_that_was_frozen_on_its_way_is_refused_by_its_version(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    await kube.create(route(namespace, "r"))
    thaw = asyncio.Event()
    async with calls(kube_api.kubeconfig) as api:
        slow = Held(api, lambda method: thaw if method == "PATCH" else None)
        async with at_work(slow, kube, namespace) as frozen, at_work(api, kube, namespace) as leader:
            await frozen.put("r", r=status("False"))
            await wait_for(lambda: _true(bool(frozen.writer._busy)), "a write is on its way")
            frozen.mine[0] = False
            await leader.put("r", r=status("True"))
            await leader.idle()
            written = version(await leader.found("r"))
            thaw.set()
            await wait_for(lambda: _true(frozen.count("conflict") == 1), "refused")
            assert version(await leader.found("r")) == written


async def test_a_status_that_somebody_edits_is_put_right_and_foreign_conditions_stay(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.put("r", r=status())
    await bench.idle()
    mine = {
        "type": "example.com/Reviewed",
        "status": "True",
        "reason": "x",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    edited = (await bench.found("r"))["status"]
    edited["conditions"][1]["status"] = "False"
    edited["conditions"] += [mine, {**mine, "type": "Stalled"}]
    await bench.kube.patch(route(bench.namespace, "r"), {"status": edited}, part="status", fieldManager="kubectl-edit")
    await bench.put("r", r=status())
    await bench.idle()
    found = await bench.found("r")
    assert {one["type"]: one["status"] for one in found["status"]["conditions"]} == {
        "Programmed": "True",
        "Ready": "True",
        "example.com/Reviewed": "True",
    }


async def test_nothing_is_said_of_a_generation_that_was_judged_already(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.put("r", r=status(generation=3))
    await bench.idle()
    await bench.put("r", r=status("False", generation=2))
    await bench.idle()
    assert (await bench.found("r"))["status"]["observedGeneration"] == 3


async def test_an_object_that_is_gone_is_let_go(bench: Bench) -> None:
    await bench.kube.create(route(bench.namespace, "r"))
    await bench.kube.create(route(bench.namespace, "s"))
    await bench.put("r", "s", r=status(), s=status())
    await bench.idle()
    await bench.kube.delete(route(bench.namespace, "r"))
    bench.writer.put({key(bench.namespace, "r"): status("False"), key(bench.namespace, "s"): status("False")})
    await wait_for(lambda: _true(bench.count("noop") >= 1), "its absence was met")
    bench.writer.put({key(bench.namespace, "s"): status("False")})
    await bench.idle()
    assert condition(await bench.found("s"), "Ready") == "False"
    assert bench.count("error") == 0


@pytest.fixture
async def faulty(kube_api: KubeApi, fault_proxy: FaultProxy, bench: Bench) -> AsyncIterator[Bench]:
    """As `bench`, through a proxy that can fail."""
    name = f"faulty-{bench.namespace}"
    path = kube_api.write_kubeconfig(name, kube_api.token, url=fault_proxy.url, namespace=bench.namespace)
    async with calls(path) as api, at_work(api, bench.kube, bench.namespace) as through:
        yield through


@pytest.mark.parametrize("code", [409, 422, 429, 500, 503])
async def test_a_refusal_is_tried_again_after_a_rest_and_disturbs_no_other(
    faulty: Bench, fault_proxy: FaultProxy, code: int
) -> None:
    for name in ("r", "s"):
        await faulty.kube.create(route(faulty.namespace, name))
    given = fault_proxy.answer(Given(code, "PATCH", "/routes/r/", times=3))
    await faulty.put("r", "s", r=status(), s=status())
    await faulty.kube.until(Key("northgate.dev/v1alpha1", "Route", "s", faulty.namespace), _ready, "Ready", deadline=3)
    await faulty.idle()
    assert given.given == 3
    assert faulty.count("conflict" if code == 409 else "error") == 3
    assert condition(await faulty.found("r"), "Ready") == "True"


async def test_the_server_says_how_long_to_rest(faulty: Bench, fault_proxy: FaultProxy) -> None:
    await faulty.kube.create(route(faulty.namespace, "r"))
    fault_proxy.answer(Given(429, "PATCH", times=1, headers={"Retry-After": "1"}))
    clock = machine()
    await faulty.put("r", r=status())
    await wait_for(lambda: _true(faulty.count("error") == 1), "refused")
    refused = clock.boot()
    await faulty.idle()
    assert clock.boot() - refused >= 0.9


RIGHTS = (
    {"apiGroups": ["northgate.dev"], "resources": ["routes"], "verbs": ["get"]},
    {"apiGroups": ["northgate.dev"], "resources": ["routes/status"], "verbs": ["patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
)


async def test_these_rights_are_enough_to_be_elected_to_write_and_to_tell(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    await kube.create(route(namespace, "r"))
    who = await account(kube, kube_api, namespace, "writer", RIGHTS)
    async with calls(who.kubeconfig()) as api:
        elector = Elector(api, Claim(namespace, "northgate", "a"), machine())
        recorder = Recorder(api, "a", machine())
        office = Office(status_manager(namespace, "northgate"), elector.holds)
        writer = StatusWriter(api, office, machine(), recorder.wrote, QUICK)
        async with running(elector.run(), writer.run(), recorder.run()):
            for ready in ("True", "False"):
                writer.put({key(namespace, "r"): status(ready, Stalled="True")})
                await wait_for(lambda: _true(writer.waiting() == 0), "written")
            await wait_for(lambda: _true(recorder.counts().get("told", 0) == 4), "told")
        await elector.release()
    assert who.denied() == ()
    assert condition(await kube.get(route(namespace, "r")), "Ready") == "False"


async def test_of_two_installations_the_second_leaves_what_the_first_wrote_until_that_one_is_gone(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    await kube.create(route(namespace, "r"))
    leap = [0.0]
    clocks = replace(machine(), boot=lambda: machine().boot() + leap[0])
    async with calls(kube_api.kubeconfig) as api:
        first = Elector(api, Claim(namespace, "old", "a"), machine())
        await first.step()
        old, new = status_manager(namespace, "old"), status_manager(namespace, "new")
        async with at_work(api, kube, namespace, old) as one:
            await one.put("r", r=status("True", Stalled="True"))
            await one.idle()
            async with at_work(api, kube, namespace, new, clocks) as other:
                await other.put("r", r=status("False"))
                await wait_for(lambda: _true(bool(other.writer.contested())), "the second sees the first")
                assert other.writer.rivals() == {old: Life.ALIVE}
                await one.put("r", r=status("Unknown", Stalled="True"))
                await one.idle()
                assert (one.count("conflict"), one.count("ok")) == (0, 2)
                await first.step()
                other.writer.observe(key(namespace, "r"), await other.found("r"))
                leap[0] += 11
                await wait_for(lambda: _true(other.count("ok") == 0 and bool(other.writer.contested())), "left alone")
                assert condition(await other.found("r"), "Ready") == "Unknown"
                await wait_for(lambda: _taken_over(other, leap), "taken over")
                await other.idle()
                found = await other.found("r")
                assert condition(found, "Ready") == "False"
                assert condition(found, "Stalled") == ""
                assert not other.writer.contested()


async def _taken_over(bench: Bench, leap: list[float]) -> bool:
    leap[0] += 1  # time passes and the first one's Lease does not change any more
    return condition(await bench.found("r"), "Ready") == "False"


async def _true(fact: bool) -> bool:  # noqa: FBT001 - the fact that is waited for
    return fact


def _ready(found: dict[str, Any]) -> bool:
    return condition(found, "Ready") == "True"
