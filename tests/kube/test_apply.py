"""Do a gateway's objects become what is wanted, and nothing else? Against a real API server."""

from __future__ import annotations

import copy

import aiohttp
import pytest
from tests.kube.rig.client import ApiError, Key, Kube
from tests.workloads.cluster import now
from tests.workloads.conftest import HTTP, HTTPS, INSTALLATION

from northgate.api.gateway import EdgeGatewaySpec
from northgate.kube.apply import Applier, ApplyError, Report
from northgate.kube.pki import client_leaf, settled
from northgate.kube.secrets import client_secret
from northgate.kube.workloads.children import children
from northgate.kube.workloads.gateway import Gateway

NAME = "northgate-edge"


class Applied:
    """A gateway in a namespace of its own, and what an applier makes of it."""

    def __init__(self, kube: Kube, namespace: str, uid: str) -> None:
        self.kube, self.namespace, self.uid = kube, namespace, uid
        self.applier = Applier(kube.session)

    def gateway(self, proxy: dict | None = None, *listeners: dict) -> Gateway:
        spec = {"listeners": list(listeners or (HTTP, HTTPS)), **({"proxy": proxy} if proxy else {})}
        return Gateway(self.namespace, "edge", self.uid, EdgeGatewaySpec.model_validate(_tuples(spec)))

    async def apply(self, proxy: dict | None = None, *listeners: dict, secret: bool = False) -> Report:
        gateway = self.gateway(proxy, *listeners)
        authorities = settled(None, now())
        leaf = client_leaf(None, authorities, f"{self.namespace}/edge", now())
        more = (client_secret(gateway, leaf, authorities),) if secret else ()
        return await self.applier.apply(gateway, (*children(gateway, INSTALLATION), *more))

    async def get(self, kind: str, api: str = "apps/v1") -> dict:
        return await self.kube.get(Key(api, kind, NAME, self.namespace))


def _tuples(value):
    match value:
        case dict():
            return {key: _tuples(entry) for key, entry in value.items()}
        case list():
            return tuple(map(_tuples, value))
        case _:
            return value


@pytest.fixture
async def applied(kube, crds, namespace) -> Applied:
    made = await kube.create(
        {
            "apiVersion": "northgate.dev/v1alpha1",
            "kind": "EdgeGateway",
            "metadata": {"name": "edge", "namespace": namespace},
            "spec": {"listeners": [HTTP]},
        }
    )
    return Applied(kube, namespace, made["metadata"]["uid"])


EVERYTHING = {
    "replicas": 3,
    "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": "2.5", "memory": "2048Mi"}},
    "nodeSelector": {"pool": "edge"},
    "tolerations": [{"key": "edge", "effect": "NoExecute", "tolerationSeconds": 60}, {"operator": "Exists"}],
    "service": {"annotations": {"a.example/b": "c"}, "loadBalancerClass": "lb.example/bgp"},
    "podDisruptionBudget": {"minAvailable": 1},
    "hostNetwork": True,
}


@pytest.mark.parametrize(
    "proxy", [None, EVERYTHING, {"kind": "DaemonSet"}, {"autoscaling": {"maxReplicas": 5}}], ids=str
)
async def test_what_is_written_is_accepted_and_written_once(applied, proxy):
    first = await applied.apply(proxy)
    assert first.refusals == ()
    assert len(first.written) == len(children(applied.gateway(proxy), INSTALLATION))
    assert await applied.apply(proxy) == Report()


async def test_the_certificate_is_written_beside(applied):
    assert any(one.kind == "Secret" for one in (await applied.apply(secret=True)).written)


async def test_drift_is_repaired_and_others_fields_are_left_alone(applied, kube):
    await applied.apply({"replicas": 2})
    which = Key("apps/v1", "Deployment", NAME, applied.namespace)
    theirs = {"metadata": {"annotations": {"other.example/a": "b"}, "labels": {"other": "c"}}}
    await kube.patch(which, theirs, fieldManager="other")
    assert await applied.apply({"replicas": 2}) == Report()
    await kube.patch(which, {"spec": {"replicas": 7, "paused": True}}, fieldManager="other")
    assert [one.kind for one in (await applied.apply({"replicas": 2})).written] == ["Deployment"]
    there = await applied.get("Deployment")
    assert there["spec"]["replicas"] == 2
    assert there["spec"]["paused"] is True
    assert there["metadata"]["annotations"]["other.example/a"] == "b"
    await kube.patch(which, {"metadata": {"ownerReferences": None}}, fieldManager="other")
    assert [one.kind for one in (await applied.apply({"replicas": 2})).written] == ["Deployment"]
    assert (await applied.get("Deployment"))["metadata"]["ownerReferences"][0]["uid"] == applied.uid


async def test_an_autoscaler_takes_over_the_number_that_is(applied, kube):
    await applied.apply({"replicas": 6})
    await applied.apply({"autoscaling": {"maxReplicas": 9}})
    assert (await applied.get("Deployment"))["spec"]["replicas"] == 6
    which = Key("apps/v1", "Deployment", NAME, applied.namespace)
    await kube.patch(which, {"spec": {"replicas": 8}}, part="scale", fieldManager="autoscaler")
    assert await applied.apply({"autoscaling": {"maxReplicas": 9}}) == Report()
    await applied.apply({"autoscaling": {"maxReplicas": 9}, "concurrency": 3})
    assert (await applied.get("Deployment"))["spec"]["replicas"] == 8
    report = await applied.apply({"replicas": 4})
    assert [one.kind for one in report.removed] == ["HorizontalPodAutoscaler"]
    assert (await applied.get("Deployment"))["spec"]["replicas"] == 4


async def test_a_listener_that_comes_replaces_no_pod(applied):
    await applied.apply(None, HTTP)
    before = await applied.get("Deployment")
    report = await applied.apply(None, HTTP, HTTPS)
    assert sorted(one.kind for one in report.written) == ["NetworkPolicy", "Service"]
    assert (await applied.get("Deployment"))["metadata"]["generation"] == before["metadata"]["generation"]
    await applied.apply(None, HTTPS)
    assert [one["port"] for one in (await applied.get("Service", "v1"))["spec"]["ports"]] == [443]


async def test_objects_of_others_are_never_taken_over(applied, kube):
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": applied.namespace}}
    await kube.create({**mine, "data": {"bootstrap.json": "theirs"}})
    report = await applied.apply()
    [refusal] = report.refusals
    assert "ConfigMap northgate-edge exists and was not made for this gateway" in refusal.message
    assert len(report.written) == 5
    assert (await applied.get("ConfigMap", "v1"))["data"] == {"bootstrap.json": "theirs"}
    await kube.delete(mine)
    assert [one.kind for one in (await applied.apply()).written] == ["ConfigMap"]


async def test_what_somebody_makes_in_between_is_not_taken_over(applied, kube, monkeypatch):
    held = applied.applier._held

    async def just_before(*arguments):
        found = await held(*arguments)
        about = {"name": NAME, "namespace": applied.namespace}
        await kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"bootstrap.json": "x"}})
        return found

    monkeypatch.setattr(applied.applier, "_held", just_before)
    [refusal] = (await applied.apply()).refusals
    assert "conflict" in refusal.message
    assert (await applied.get("ConfigMap", "v1"))["data"] == {"bootstrap.json": "x"}


async def test_proxies_run_elsewhere_leave_nothing_behind_but_what_is_anothers(applied, kube):
    await applied.apply()
    other = copy.deepcopy(await applied.get("ConfigMap", "v1"))
    labels = other["metadata"]["labels"]
    other["metadata"] = {"name": "copied", "namespace": applied.namespace, "labels": labels}
    await kube.create(other)
    report = await applied.apply({"kind": "External"})
    assert len(report.removed) == 6
    assert await kube.find(Key("v1", "ConfigMap", "copied", applied.namespace)) is not None
    assert await kube.find(Key("v1", "Service", NAME, applied.namespace)) is None


async def test_who_leads_no_more_writes_no_more(applied):
    left = iter([True, True, False])
    applied.applier = Applier(applied.kube.session, lambda: next(left, False))
    assert len((await applied.apply()).written) == 2
    assert (await applied.apply()).written == ()


async def test_what_the_server_refuses_is_told_and_the_rest_is_written(applied):
    await applied.apply({"service": {"loadBalancerClass": "a.example/b"}})
    report = await applied.apply({"service": {"loadBalancerClass": "c.example/d"}, "replicas": 5})
    [refusal] = report.refusals
    assert refusal.which.kind == "Service"
    assert "loadBalancerClass" in refusal.message
    assert [one.kind for one in report.written] == ["Deployment"]


async def test_a_kind_that_is_not_served_is_not_taken_for_nothing(applied, monkeypatch):
    monkeypatch.setattr("northgate.kube.apply.KINDS", (("example/v1", "Deployment"),))
    with pytest.raises(ApplyError, match="does not serve it"):
        await applied.apply()


async def test_what_may_not_be_read_is_not_taken_for_nothing(applied, kube_api):
    connector = aiohttp.TCPConnector(ssl=kube_api.authority.client_tls())
    nobody = {"Authorization": "Bearer nobody"}
    async with aiohttp.ClientSession(kube_api.url, connector=connector, headers=nobody) as session:
        applied.applier = Applier(session)
        with pytest.raises(ApplyError, match="cannot be read: Unauthorized"):
            await applied.apply()


async def test_a_server_that_does_not_answer_is_an_error(applied, free_port):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{free_port()}/") as session:
        applied.applier = Applier(session)
        with pytest.raises(ApplyError, match="did not answer"):
            await applied.apply()


@pytest.mark.parametrize(("proxy", "taken"), [(None, True), ({"hostNetwork": True}, False)])
async def test_pods_pass_where_only_the_restricted_may(applied, kube, proxy, taken):
    await applied.apply(proxy)
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await kube.patch(Key("v1", "Namespace", applied.namespace), enforced)
    template = (await applied.get("Deployment"))["spec"]["template"]
    about = {**template["metadata"], "name": "one", "namespace": applied.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]}
    if taken:
        made = await kube.create(pod, dryRun="All")
        assert made["spec"]["volumes"] == template["spec"]["volumes"], "no token is mounted"
        return
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await kube.create(pod, dryRun="All")
