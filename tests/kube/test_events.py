"""Events: one for each time an object comes into force, falls out of it or recovers, and never a flood."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.facts import wait_for
from tests.kube.leases import Hand, OneLease, calls, running
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Kube

from northgate.kube.clocks import machine
from northgate.kube.events import Allowance, Recorder, transitions
from northgate.kube.status import Written
from northgate.world.key import ObjectKey

ROUTE = ObjectKey("northgate.dev", "Route", "shop", "r")
UID = "4f1c1d0e-0000-4000-8000-000000000001"


def status(message: str = "why", **conditions: str) -> dict[str, Any]:
    return {
        "conditions": [{"type": t, "status": s, "reason": "Because", "message": message} for t, s in conditions.items()]
    }


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"Ready": "Unknown"}, []),
        ({}, {"Ready": "True"}, [("Ready", True)]),
        ({"Ready": "True"}, {"Ready": "True"}, []),
        ({"Ready": "True"}, {"Ready": "Unknown"}, []),
        ({"Ready": "Unknown"}, {"Ready": "False"}, [("Ready", False)]),
        ({"Programmed": "False"}, {"Programmed": "True"}, [("Programmed", True)]),
        ({}, {"Degraded": "True"}, [("Degraded", False)]),
        ({"Degraded": "True"}, {}, [("Degraded", True)]),
        ({}, {"Accepted": "False", "Stalled": "True"}, []),
    ],
)
def test_transitions(before: dict[str, str], after: dict[str, str], told: list[tuple[str, bool]]) -> None:
    assert [(one.type, one.good) for one in transitions(status(**before), status("other", **after))] == told


def test_an_object_that_flaps_and_all_objects_together_are_bounded_and_earn_more_with_time() -> None:
    hand = Hand()
    recorder = Recorder(OneLease(), "pod", hand.clocks(), Allowance(each=2, each_after=60, overall=3, overall_after=10))
    other = ObjectKey("northgate.dev", "Route", "shop", "other")

    def flap(key: ObjectKey) -> int:
        dropped = recorder.counts().get("dropped", 0)
        recorder.wrote(Written(key, UID, status(Ready="False"), status(Ready="True")))
        return recorder.counts().get("dropped", 0) - dropped

    assert [flap(ROUTE), flap(ROUTE), flap(ROUTE)] == [0, 0, 1]
    assert [flap(other), flap(other)] == [0, 1]
    hand.now += 61
    assert [flap(ROUTE), flap(ROUTE), flap(other)] == [0, 1, 0]


async def test_the_api_server_takes_them(kube_api: KubeApi, kube: Kube, crds: object, namespace: str) -> None:
    key = ObjectKey("northgate.dev", "Route", namespace, "r")
    async with calls(kube_api.kubeconfig) as api:
        recorder = Recorder(api, "pod-1", machine())
        async with running(recorder.run()):
            recorder.wrote(Written(key, UID, {}, status("é" * 2000, Programmed="True", Degraded="True")))

            async def told() -> bool:
                return sum(recorder.counts().values()) == 2

            await wait_for(told, "both are told")
        assert recorder.counts() == {"told": 2}
    found = {one["action"]: one for one in await kube.list("events.k8s.io/v1", "Event", namespace)}
    assert {action: one["type"] for action, one in found.items()} == {"Programmed": "Normal", "Degraded": "Warning"}
    assert found["Programmed"]["regarding"]["uid"] == UID
    assert found["Programmed"]["reportingController"] == "northgate.dev/operator"
