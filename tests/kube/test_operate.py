"""An operator in a cluster: objects become workloads, certificates, traffic through a real Envoy, and true statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.harness.ports import HeldPorts
from tests.kube.rig.accounts import account
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Document, Key, Kube
from tests.workloads.node import Pod

from northgate.kube.kinds import Scope
from northgate.kube.workloads.children import KINDS
from northgate.operate import Operator, Settings
from northgate.ops.echo_server import EchoUpstreams
from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client
from northgate.translate.bootstrap import TcpAddress
from northgate.translate.listeners import Binding
from northgate.translate.ports import PROBE_PORT, STATS_PORT, bound_port

READ = ["get", "list", "watch"]
WRITE = [*READ, "create", "update", "patch", "delete"]
RULES = [
    {
        "apiGroups": ["northgate.dev"],
        "resources": ["edgegateways", "routes", "upstreams", "referencegrants"],
        "verbs": READ,
    },
    {
        "apiGroups": ["northgate.dev"],
        "resources": ["edgegateways/status", "routes/status", "upstreams/status"],
        "verbs": ["get", "patch", "update"],
    },
    {"apiGroups": ["northgate.dev"], "resources": ["edgegateways/finalizers"], "verbs": ["update"]},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["referencegrants"], "verbs": READ},
    {"apiGroups": [""], "resources": ["services", "configmaps", "secrets", "serviceaccounts"], "verbs": WRITE},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets"], "verbs": WRITE},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": WRITE},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": WRITE},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": WRITE},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": WRITE},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
]


def own(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "northgate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def gateway(namespace: str) -> Document:
    return own("EdgeGateway", namespace, "edge", {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]})


def route(namespace: str, backend: str = "web") -> Document:
    rule = {"backendRefs": [{"name": backend, "port": 80}]}
    return own("Route", namespace, "shop", {"parentRefs": [{"name": "edge"}], "rules": [rule]})


def backend(namespace: str, port: int) -> Document:
    """An API server takes no loopback endpoints in slices, so the upstream is a fixed address."""
    return own("Upstream", namespace, "web", {"static": [{"address": "127.0.0.1", "port": port}]})


class Running:
    """An operator with an account's rights, and the ports that stand for its pod's."""

    def __init__(self, operator: Operator, kube: Kube, namespace: str, ports: dict[int, int]) -> None:
        self.operator = operator
        self.kube = kube
        self.namespace = namespace
        self.ports = ports

    async def condition(self, kind: str, name: str, wanted: tuple[str, str, str]) -> Document:
        """Wait until a condition says so: type, status, reason."""

        def so(document: Document) -> bool:
            found = document.get("status", {}).get("conditions", [])
            return wanted in [(one["type"], one["status"], one["reason"]) for one in found]

        key = Key("northgate.dev/v1alpha1", kind, name, self.namespace)
        return await self.kube.until(key, so, f"{kind} {name} is {wanted}", 30)

    async def children(self) -> list[Document]:
        """The gateway's objects as the API server has them."""
        found = []
        for api_version, kind in KINDS:
            listed = await self.kube.list(api_version, kind, self.namespace)
            found += [one for one in listed if one["metadata"]["name"].startswith("northgate-edge")]
        return found


@pytest.fixture
async def running(
    request: pytest.FixtureRequest, kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> AsyncIterator[Running]:
    rights = await account(kube, kube_api, namespace, "operator", RULES)
    with HeldPorts() as held:
        xds, listener = held(), held()
        ports = {bound_port(80): listener, PROBE_PORT: held(), STATS_PORT: held()}
        for port in (xds, ports[PROBE_PORT]):
            held.release(port)
        settings = Settings(
            namespace=namespace,
            image="localhost/northgate:test",
            kubeconfig=rights.kubeconfig(),
            scope=Scope((namespace,), (namespace,)),
            xds=f"127.0.0.1:{xds}",
            advertised=TcpAddress("127.0.0.1", xds),
            site="127.0.0.1:0",
            reconnect=getattr(request, "param", 0.0),
        )
        operator = Operator(settings, Binding("127.0.0.1", {80: listener}))
        serving = asyncio.create_task(operator.run())
        try:
            yield Running(operator, kube, namespace, ports)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        assert not rights.denied()


@pytest.mark.envoy
async def test_objects_become_traffic_and_true_statuses(running: Running, echo_upstreams: EchoUpstreams) -> None:
    kube, namespace = running.kube, running.namespace
    upstream = backend(namespace, echo_upstreams.port("echo-a"))
    shop = route(namespace)
    shop["spec"]["rules"] = [{"backendRefs": [{"kind": "Upstream", "name": "web"}]}]
    await kube.apply(gateway(namespace), upstream, shop)
    await running.condition("EdgeGateway", "edge", ("Programmed", "False", "NoProxiesConnected"))
    objects = await running.children()
    kinds = {one["kind"] for one in objects}
    assert {"Deployment", "ConfigMap", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"} <= kinds
    secret = await kube.get(Key("v1", "Secret", "northgate-edge-certificate", namespace))
    async with Pod("edge-1", objects, secret, running.ports) as pod:
        await pod.until("readiness", wanted=True)
        await running.condition("EdgeGateway", "edge", ("Programmed", "True", "Programmed"))
        await running.condition("Route", "shop", ("Ready", "True", "Ready"))
        async with Client() as client:
            reply = await client.send(
                Target(("127.0.0.1", running.ports[bound_port(80)])), Request("GET", "/", "a.example")
            )
        assert (reply.status, reply.header("x-echo-upstream")) == (200, ("echo-a",))


async def test_nothing_is_written_to_users_objects_but_their_status(running: Running) -> None:
    kube, namespace = running.kube, running.namespace
    await kube.apply(gateway(namespace), route(namespace, "missing"))
    found = await running.condition("Route", "shop", ("Ready", "False", "BackendNotFound"))
    about = found["metadata"]
    assert "finalizers" not in about
    assert set(about.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}
    managers = {one["manager"]: one.get("subresource", "") for one in about["managedFields"]}
    assert {part for name, part in managers.items() if name.startswith("northgate")} == {"status"}


async def test_a_removed_gateway_is_left_to_the_garbage_collector(running: Running) -> None:
    kube, namespace = running.kube, running.namespace
    await kube.apply(gateway(namespace))
    await running.condition("EdgeGateway", "edge", ("Programmed", "False", "NoProxiesConnected"))
    [owner] = {one["metadata"]["ownerReferences"][0]["uid"] for one in await running.children()}
    edge = await kube.get(Key("northgate.dev/v1alpha1", "EdgeGateway", "edge", namespace))
    assert edge["metadata"]["uid"] == owner


@pytest.mark.parametrize("running", [3600.0], indirect=True)
async def test_statuses_wait_for_proxies_that_come_back_after_a_start(running: Running) -> None:
    kube, namespace = running.kube, running.namespace
    await kube.apply(gateway(namespace))
    deployment = Key("apps/v1", "Deployment", "northgate-edge", namespace)
    await kube.until(deployment, lambda found: True, "it is made", 30)
    edge = await kube.get(Key("northgate.dev/v1alpha1", "EdgeGateway", "edge", namespace))
    assert not edge.get("status", {}).get("conditions")
