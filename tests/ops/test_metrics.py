"""The metrics of a control plane: names, labels and values, in Prometheus' own format."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.core.objects import gateway, put, route, service, to

from northgate.control import ControlPlane
from northgate.deliver.events import Acked, Rejected
from northgate.ops.metrics import PlaneMetrics
from northgate.snapshot.resource import ROUTE


def values(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


async def test_objects_and_proxies_are_counted_by_state(plane: ControlPlane) -> None:
    metrics = PlaneMetrics(plane)
    plane.take([gateway(), service("web"), route("good", to("web")), put("Route", "bad", {"rules": 1})])
    found = values(metrics.text())
    assert found["northgate_resources[('kind', 'Route'), ('state', 'rejected')]"] == 2
    assert found["northgate_xds_proxies[('gateway', 'default/edge'), ('state', 'synced')]"] == 0
    assert found["northgate_snapshot_revision[('gateway', 'default/edge')]"] == 1
    assert found["northgate_compile_failures[]"] == 0


async def test_answers_of_proxies_are_counted_by_type_and_result(plane: ControlPlane) -> None:
    metrics = PlaneMetrics(plane)
    for event in (Acked(ROUTE, "1"), Acked(ROUTE, "2"), Rejected(ROUTE, "3", "n", (), "missing ]")):
        for observer in plane.observers:
            observer(event)
    found = values(metrics.text())
    assert found["northgate_xds_responses_total[('result', 'ack'), ('type', 'rds')]"] == 2
    assert found["northgate_xds_responses_total[('result', 'nack'), ('type', 'rds')]"] == 1


async def test_no_label_grows_with_nodes_or_hosts(plane: ControlPlane) -> None:
    metrics = PlaneMetrics(plane)
    plane.take(
        [gateway(), service("web"), *(route(f"r{i}", to("web"), hostnames=[f"h{i}.example"]) for i in range(50))]
    )
    assert len(values(metrics.text())) < 30


def test_promtool_finds_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    metrics = PlaneMetrics(ControlPlane())
    done = subprocess.run([promtool, "check", "metrics"], input=metrics.text(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
