"""Who may write: one process at a time, whatever clocks say and whatever freezes, dies or goes silent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.facts import wait_for
from tests.kube.leases import Hand, OneLease, calls, running
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Key, Kube

from northgate.kube.clocks import machine
from northgate.kube.lease import Claim, Elector, Terms, seen

ROOT = Path(__file__).parents[2]


def elector(api: OneLease, hand: Hand, who: str = "a") -> Elector:
    return Elector(api, Claim("edge", "northgate", who), hand.clocks())


async def test_the_first_one_makes_the_lease_and_holds_it_for_the_deadline_only() -> None:
    api, hand = OneLease(), Hand()
    one = elector(api, hand)
    assert not one.holds()
    await one.step()
    assert one.holds()
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == one.holder == "a"
    hand.now += 7.9
    assert one.holds()
    hand.now += 0.2
    assert not one.holds()


async def test_another_takes_over_when_the_lease_has_not_changed_for_its_duration_by_its_own_clock() -> None:
    api, hand = OneLease(), Hand()
    first, other = elector(api, hand), elector(api, Hand(), "b")
    await first.step()
    late = Hand(now=5.0, wrong=1e8)
    other = elector(api, late, "b")
    await other.step()
    late.now += 11.9
    await other.step()
    assert not other.holds()
    late.now += 0.2
    await other.step()
    assert other.holds()
    assert api.lease is not None
    assert api.lease["spec"]["leaseTransitions"] == 1


async def test_a_lease_that_goes_on_changing_is_left_to_its_holder() -> None:
    api, hand, late = OneLease(), Hand(wrong=-1e8), Hand()
    first, other = elector(api, hand), elector(api, late, "b")
    for _ in range(20):
        await first.step()
        await other.step()
        hand.now += 2
        late.now += 2
    assert first.holds()
    assert not other.holds()


async def test_a_holder_that_was_frozen_holds_nothing_and_learns_who_does() -> None:
    api, hand = OneLease(), Hand()
    first, other = elector(api, hand), elector(api, hand, "b")
    await first.step()
    await other.step()
    hand.now += 60
    assert not first.holds()
    await other.step()
    assert other.holds()
    await first.step()
    await first.step()
    assert not first.holds()
    assert first.holder == "b"


async def test_a_renewal_that_went_unanswered_is_found_to_be_ours() -> None:
    api, hand = OneLease(), Hand()
    one = elector(api, hand)
    await one.step()
    api.silent = True
    hand.now += 2
    await one.step()
    api.silent = False
    hand.now += 2
    await one.step()
    await one.step()
    assert one.holds()
    assert one.holder == "a"


async def test_when_the_server_is_gone_the_holder_stops_before_another_could_start() -> None:
    api, hand = OneLease(), Hand()
    one, other = elector(api, hand), elector(api, hand, "b")
    await one.step()
    await other.step()
    api.deaf = True
    for _ in range(5):
        hand.now += 2
        await one.step()
    assert not one.holds()
    api.deaf = False
    await other.step()
    assert not other.holds()


async def test_a_released_lease_is_taken_at_once() -> None:
    api, hand = OneLease(), Hand()
    one, other = elector(api, hand), elector(api, hand, "b")
    await one.step()
    await one.release()
    assert not one.holds()
    await other.step()
    assert other.holds()


async def test_what_is_not_held_is_not_released() -> None:
    api, hand = OneLease(), Hand()
    one, other = elector(api, hand), elector(api, hand, "b")
    await one.step()
    await other.step()
    await other.release()
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == "a"


def test_a_lease_that_claims_hours_is_not_believed() -> None:
    lease = {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 86_400}}
    assert seen(lease, None, 0.0, Terms()).over() == 60


@pytest.mark.parametrize("terms", [{"deadline": 10.0}, {"retry": 6.0}, {"timeout": 6.0}])
def test_terms_under_which_two_could_write_are_refused(terms: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="deadline"):
        Terms(**terms)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "none"]), st.floats(0.1, 20), st.booleans()), max_size=40))
def test_whatever_sleeps_and_whatever_is_lost_two_never_hold(story: list[tuple[str, float, bool]]) -> None:
    async def play() -> None:
        api = OneLease()
        hand = Hand()
        replicas = {name: elector(api, hand, name) for name in "abc"}
        for who, passed, silent in story:
            hand.now += passed
            api.silent = silent
            if who in replicas:
                await replicas[who].step()
            assert sum(one.holds() for one in replicas.values()) <= 1

    asyncio.run(play())


_REPLICA = """
import asyncio, sys
from pathlib import Path
from northgate.kube.access import find_access
from northgate.kube.calls import Calls
from northgate.kube.clocks import machine
from northgate.kube.lease import Claim, Elector

async def main():
    async with find_access(Path(sys.argv[1])).session() as session:
        elector = Elector(Calls(session, 3.0), Claim(sys.argv[2], "northgate", sys.argv[3]), machine())
        asyncio.create_task(elector.run())
        was = None
        while True:
            holds = elector.holds()
            if holds != was:
                print("holds" if holds else "does not hold", flush=True)
                was = holds
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


def replica(kubeconfig: Path, namespace: str, who: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    arguments = [sys.executable, "-c", _REPLICA, str(kubeconfig), namespace, who]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_leader_that_is_lost_is_replaced_within_twenty_seconds(
    kube_api: KubeApi, kube: Kube, namespace: str, how: signal.Signals
) -> None:
    process = replica(kube_api.kubeconfig, namespace, "a")
    lease = Key("coordination.k8s.io/v1", "Lease", "northgate", namespace)
    try:
        await kube.until(lease, lambda found: found["spec"]["holderIdentity"] == "a", "held by a")
        async with calls(kube_api.kubeconfig) as api:
            other = Elector(api, Claim(namespace, "northgate", "b"), machine())
            async with running(other.run()):
                await wait_for(lambda: _is(other.holder == "a"), "b sees a")
                process.send_signal(how)
                lost = time.monotonic()
                await wait_for(lambda: _is(other.holds()), "b holds", deadline=20)
                assert time.monotonic() - lost >= Terms().deadline
                if how is signal.SIGSTOP:
                    process.send_signal(signal.SIGCONT)
                    assert process.stdout is not None
                    said = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
                    assert [one.strip() for one in said] == ["does not hold", "holds", "does not hold"]
                    assert other.holds()
            await other.release()
        assert (await kube.get(lease))["spec"]["holderIdentity"] == ""
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _is(fact: bool) -> bool:  # noqa: FBT001 - the fact that is waited for
    return fact
