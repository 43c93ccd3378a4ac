"""What is written, refused and removed? Decided from documents alone."""

from __future__ import annotations

import copy

import pytest
from tests.workloads.conftest import GATEWAYS, INSTALLATION, UID, gateway

from northgate.kube.drift import covers, plan, stamped, which
from northgate.kube.workloads.children import children


def stored(documents, **more) -> dict:
    """What an API server would hold."""
    found = {}
    for number, document in enumerate(documents):
        there = copy.deepcopy(stamped(document))
        there["metadata"] |= {"uid": f"u{number}", "resourceVersion": "1", **more}
        found[which(there)] = there
    return found


@pytest.mark.parametrize("name", GATEWAYS)
def test_what_is_as_wanted_is_left_alone(name):
    found, installation = GATEWAYS[name]
    wanted = children(found, installation)
    assert plan(found, wanted, stored(wanted)) == plan(found, (), {})
    assert [one.document for one in plan(found, wanted, {}).writes] == [stamped(one) for one in wanted]


def drifted(change) -> list[str]:
    wanted = children(gateway(), INSTALLATION)
    held = stored(wanted)
    change({key.kind: document for key, document in held.items()})
    return [one.document["kind"] for one in plan(gateway(), wanted, held).writes]


def test_drift_in_what_is_ours_is_repaired_and_what_others_add_is_theirs():
    def others(by_kind):
        by_kind["Service"]["spec"]["clusterIP"] = "10.0.0.1"
        by_kind["Service"]["metadata"]["annotations"]["other.example/a"] = "b"
        by_kind["Deployment"]["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
        by_kind["ConfigMap"]["data"]["more"] = "x"

    def ours(by_kind):
        by_kind["Service"]["spec"]["ports"][0]["targetPort"] = 1
        by_kind["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"].append("--more")
        by_kind["NetworkPolicy"]["spec"]["ingress"].append({})
        by_kind["ServiceAccount"]["metadata"]["labels"].popitem()

    assert drifted(others) == []
    assert sorted(drifted(ours)) == ["Deployment", "NetworkPolicy", "Service", "ServiceAccount"]


def test_what_is_wanted_no_more_is_taken_back():
    before, after = gateway({"nodeSelector": {"a": "b"}}), gateway()
    wanted = children(after, INSTALLATION)
    assert [one.document["kind"] for one in plan(after, wanted, stored(children(before, INSTALLATION))).writes] == [
        "Deployment"
    ]


def test_amounts_are_compared_as_amounts():
    assert covers({"cpu": "1", "memory": "1Gi"}, {"cpu": "1000m", "memory": "1024Mi"})
    assert covers({"cpu": "500m"}, {"cpu": "0.5"})
    assert not covers({"cpu": "1"}, {"cpu": "100m"})
    assert not covers({"image": "1"}, {"image": "1000m"})


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [{"uid": "other", "controller": True, "kind": "EdgeGateway"}],
        [{"uid": UID, "controller": False}],
    ],
)
def test_what_is_not_ours_is_neither_written_nor_removed(owners):
    wanted = children(gateway({"replicas": 3}), INSTALLATION)
    held = stored(children(gateway(), INSTALLATION), ownerReferences=owners)
    decided = plan(gateway(), wanted, held)
    assert decided.writes == decided.removals == ()
    assert {one.which for one in decided.refusals} == set(held)
    assert "was not made for this gateway; delete or rename it" in decided.refusals[0].message
    assert plan(gateway(), (), held).removals == ()


def test_an_owner_that_was_taken_away_is_given_back():
    held = stored(children(gateway(), INSTALLATION), ownerReferences=[])
    for there in held.values():
        there["metadata"]["managedFields"] = [{"manager": "northgate", "operation": "Apply", "fieldsV1": {}}]
    assert len(plan(gateway(), children(gateway(), INSTALLATION), held).writes) == len(held)


def test_another_runner_goes_when_the_new_one_serves():
    daemon = gateway({"kind": "DaemonSet"})
    wanted = children(daemon, INSTALLATION)
    held = stored(children(gateway(), INSTALLATION)) | stored(wanted)
    assert plan(daemon, wanted, held).removals == ()
    runner = next(there for key, there in held.items() if key.kind == "DaemonSet")
    for available, gone in ((1, []), (2, ["Deployment"])):
        runner["status"] = {"desiredNumberScheduled": 2, "numberAvailable": available}
        assert [one["kind"] for one in plan(daemon, wanted, held).removals] == gone
    outside = gateway({"kind": "External"})
    assert len(plan(outside, (), held).removals) == len(held)
