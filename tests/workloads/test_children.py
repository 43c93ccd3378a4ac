"""What must hold of a gateway's objects, whatever the gateway?"""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.conftest import GATEWAYS, HTTP, HTTPS, INSTALLATION, SCRAPED, UID, gateway

from northgate.kube.workloads.children import KINDS, children
from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import child_name, label_value, selector
from northgate.kube.workloads.pods import CONFIG_HASH, drain_seconds
from northgate.translate.ports import PROBE_PORT, STATS_PORT, bound_port, cluster_binding

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

each = pytest.mark.parametrize("name", GATEWAYS)


def objects(found: Gateway, installation=INSTALLATION) -> dict[str, dict]:
    return {one["kind"]: one for one in children(found, installation)}


def template(found: Gateway, installation=INSTALLATION) -> dict:
    made = objects(found, installation)
    return (made.get("Deployment") or made["DaemonSet"])["spec"]["template"]


@each
def test_every_object_is_the_gateways_and_of_a_kind_that_is_known(name):
    found, installation = GATEWAYS[name]
    for one in children(found, installation):
        assert (one["apiVersion"], one["kind"]) in KINDS
        [owner] = one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("EdgeGateway", found.name, UID)
        assert LABEL.fullmatch(one["metadata"]["name"])
        assert len(one["metadata"]["name"]) <= 63
        assert all(VALUE.fullmatch(value) and len(value) <= 63 for value in one["metadata"]["labels"].values())


@each
def test_pods_have_no_rights(name):
    spec = template(*GATEWAYS[name])["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(port["containerPort"] >= 1024 for port in container["ports"])
    assert all(set(volume) - {"name"} <= {"configMap", "secret", "emptyDir"} for volume in spec["volumes"])


@each
def test_the_service_leads_to_the_ports_that_listeners_bind(name):
    found, installation = GATEWAYS[name]
    made = objects(found, installation)
    bound = {port: cluster_binding().port(port) for port in found.ports}
    assert {one["port"]: one["targetPort"] for one in made["Service"]["spec"]["ports"]} == bound
    open_to_all = made["NetworkPolicy"]["spec"]["ingress"][0]
    assert {one["port"] for one in open_to_all["ports"]} == set(bound.values())
    assert "from" not in open_to_all


def test_no_two_ports_are_bound_as_one():
    bound = [bound_port(port) for port in range(1, 64_510)]
    assert len({*bound, STATS_PORT, PROBE_PORT}) == len(bound) + 2
    assert min(bound) == 1024
    assert max(bound) <= 65_535


@each
def test_selectors_are_the_pods_labels_and_do_not_depend_on_the_spec(name):
    found, installation = GATEWAYS[name]
    made = objects(found, installation)
    runner = made.get("Deployment") or made["DaemonSet"]
    assert runner["spec"]["selector"]["matchLabels"] == selector(found)
    assert selector(found).items() <= runner["spec"]["template"]["metadata"]["labels"].items()
    assert made["Service"]["spec"]["selector"] == selector(found)


@each
def test_equal_gateways_have_equal_objects(name):
    found, installation = GATEWAYS[name]
    again = Gateway(found.namespace, found.name, found.uid, type(found.spec).model_validate(found.spec.model_dump()))
    assert json.dumps(children(found, installation)) == json.dumps(children(again, installation))


def test_pods_are_replaced_when_what_they_read_changes_and_only_then():
    before = template(gateway())
    assert template(gateway({"service": {"type": "NodePort"}, "replicas": 5})) == before
    assert template(gateway(None, HTTP, {**HTTPS, "hostname": "*.shop.example"})) == before
    assert template(gateway(None, HTTP)) == before
    other = template(gateway(pop="fra1"))
    assert other["metadata"]["annotations"][CONFIG_HASH] != before["metadata"]["annotations"][CONFIG_HASH]
    assert template(gateway({"concurrency": 3})) != before


def test_an_autoscaler_alone_decides_how_many():
    made = objects(gateway({"autoscaling": {"maxReplicas": 5}}))
    assert "replicas" not in made["Deployment"]["spec"]
    assert made["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == made["Deployment"]["metadata"]["name"]
    assert "HorizontalPodAutoscaler" not in objects(gateway({"replicas": 3}))


def test_nothing_is_made_for_proxies_elsewhere():
    assert children(gateway({"kind": "External"}), INSTALLATION) == ()


def test_statistics_are_read_by_scrapers_alone():
    assert len(objects(gateway())["NetworkPolicy"]["spec"]["ingress"]) == 1
    [_, scraped] = objects(gateway(), SCRAPED)["NetworkPolicy"]["spec"]["ingress"]
    assert [one["port"] for one in scraped["ports"]] == [STATS_PORT]
    [asked] = scraped["from"][0]["namespaceSelector"]["matchExpressions"]
    assert asked["values"] == ["metrics", "monitoring"]


@pytest.mark.parametrize(
    ("shutdown", "seconds"),
    [
        (None, (5, 25)),
        ({"drainTimeout": "2m", "minDrainDuration": "1500ms"}, (2, 119)),
        ({"drainTimeout": "1s"}, (5, 0)),
        ({"drainTimeout": "9999h"}, (5, 3595)),
    ],
)
def test_a_pod_has_time_to_drain(shutdown, seconds):
    found = gateway({"shutdown": shutdown} if shutdown else None)
    assert drain_seconds(found) == seconds
    assert template(found)["spec"]["terminationGracePeriodSeconds"] == sum(seconds) + 10


names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?){0,4}", fullmatch=True)


@given(names, names)
def test_names_are_labels_and_different_for_different_gateways(one, other):
    first, second = gateway(name=one), gateway(name=other)
    assert LABEL.fullmatch(child_name(first))
    assert len(child_name(first)) <= 63
    assert VALUE.fullmatch(label_value(one))
    assert (child_name(first) == child_name(second)) == (one == other)
    assert (label_value(one) == label_value(other)) == (one == other)
