from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from tests.harness.facts import wait_for
from tests.kube.rig.accounts import account, grant
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Document, Key, Kube, establish
from tests.kube.rig.fault_proxy import FaultProxy
from tests.kube.source_rig import AUDITING, following, source

from northgate.control import ControlPlane
from northgate.kube import source as source_module
from northgate.kube.access import find_access
from northgate.kube.kinds import Scope
from northgate.kube.reading import Reason
from northgate.kube.thread import Patience
from northgate.world.key import ObjectKey

READ = ["get", "list", "watch"]
OWN = {"apiGroups": ["northgate.dev"], "resources": ["edgegateways", "routes", "upstreams"], "verbs": READ}
SERVICES = {"apiGroups": [""], "resources": ["services"], "verbs": READ}
OTHERS = [
    {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"apiGroups": ["gateway.networking.k8s.io", "northgate.dev"], "resources": ["referencegrants"], "verbs": READ},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
]
CRDS = Path(__file__).parents[2] / "crds"
STEADY = replace(AUDITING, audit=1.0)


def route(namespace: str, name: str, host: str = "a.example") -> Document:
    return {
        "apiVersion": "northgate.dev/v1alpha1",
        "kind": "Route",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}],
        },
    }


def service(namespace: str, name: str) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}


def secret(namespace: str, name: str) -> Document:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": {}}


async def test_objects_come_and_go_and_nothing_is_written_to_them(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    await kube.create(route(namespace, "one"))
    reader = await account(kube, kube_api, namespace, "reader", [OWN, SERVICES, *OTHERS])
    scope = Scope((namespace,), (namespace,))
    async with following(source(find_access(reader.kubeconfig()), scope)) as found:
        await found.until(lambda: found.complete, "everything was listed")
        assert found.names("Route") == {"one"}
        await found.until(lambda: found.source.restarts().running, "handlers run")
        await kube.create(route(namespace, "two"))
        await found.until(lambda: "two" in found.names("Route"), "a new Route")
        written = await kube.apply(route(namespace, "two", "b.example"))
        await found.until(
            lambda: any("b.example" in str(document) for document in found.world.values()), "a changed Route"
        )
        await kube.create(service(namespace, "shop"))
        await found.until(lambda: found.names("Service") == {"shop"}, "a Service")
        await kube.delete(route(namespace, "one"))
        await found.until(lambda: found.names("Route") == {"two"}, "a deleted Route")
        assert found.names("Namespace") == {namespace}
        # The first came by a list, all others by events.
        assert found.reading("Route", namespace).drift == 0
        assert found.source.restarts().count == 0
    left = await kube.get(route(namespace, "two"))
    assert left["metadata"] == written["metadata"]
    assert set(left["metadata"]) & {"annotations", "finalizers"} == set()
    calls = reader.calls()
    assert calls
    assert [call for call in calls if call.writes] == []
    assert reader.denied() == ()


async def test_secrets_are_read_where_and_when_they_are_referred_to(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    for name in ("used", "other"):
        await kube.create(secret(namespace, name))
    wanted = {"used"}
    access = find_access(kube_api.kubeconfig)
    reading = source(access, Scope(None, (namespace,)), wanted=lambda key: key.name in wanted)
    async with following(reading) as found:
        await found.until(lambda: found.complete, "everything was listed")
        assert found.names("Secret") == {"used"}
        assert found.names("ConfigMap") == set()
        wanted.add("other")
        await kube.create(route(namespace, "refers"))
        await found.until(lambda: found.names("Secret") == {"used", "other"}, "a Secret that is referred to now")


def referred_to(plane: ControlPlane, key: ObjectKey) -> bool:
    """Whether the core looked for an object, be it there or not; stages that look at all objects do not count."""
    place = plane.edge.world.secrets if key.kind == "Secret" else plane.edge.world.config_maps
    readers = place._readers._of.get((key.namespace, key.name), ())
    return any(
        reader[1] != (key.namespace, key.name)
        for reader in ([readers] if isinstance(readers, tuple) else readers)
        if reader
    )


async def test_a_control_plane_that_is_fed_so_holds_what_it_refers_to(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    pair = trustme.CA().issue_cert("shop.example")
    chain = b"".join(blob.bytes() for blob in pair.cert_chain_pems)
    texts = {"tls.crt": chain.decode(), "tls.key": pair.private_key_pem.bytes().decode()}
    await kube.create(gateway(namespace))
    await kube.create(secret(namespace, "other"))
    plane = ControlPlane()
    reading = source(
        find_access(kube_api.kubeconfig), Scope((namespace,), (namespace,)), wanted=lambda key: referred_to(plane, key)
    )

    async def feed() -> None:
        async for change in reading.changes():
            plane.take(change.put, change.removed, complete=change.complete)

    feeding = asyncio.create_task(feed())
    try:
        await wait_for(lambda: _true(reading.complete), "everything was listed")
        assert plane.gateways() == ((namespace, "edge"),)
        assert list(plane.edge.world.secrets.items()) == []
        await kube.create({**secret(namespace, "tls"), "type": "kubernetes.io/tls", "stringData": texts})
        held = plane.edge.world.secrets
        await wait_for(lambda: _true([name for name, _ in held.items()] == [(namespace, "tls")]), "the certificate")
        await kube.delete(gateway(namespace))
        await wait_for(lambda: _true(not plane.gateways() and not len(held)), "nothing is kept for nobody")
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await plane.stop(0)


async def _true(fact: bool) -> bool:  # noqa: FBT001 - a fact is what is waited for
    return fact


def gateway(namespace: str) -> Document:
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "tls"}]}}
    return {
        "apiVersion": "northgate.dev/v1alpha1",
        "kind": "EdgeGateway",
        "metadata": {"name": "edge", "namespace": namespace},
        "spec": {"pop": "here", "listeners": [https]},
    }


async def test_rights_that_are_lost_are_told_and_nothing_is_lost(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    await kube.create(service(namespace, "shop"))
    reader = await account(kube, kube_api, namespace, "reader", [OWN, SERVICES, *OTHERS])
    access = find_access(reader.kubeconfig())
    async with following(source(access, Scope((namespace,), (namespace,)), pace=STEADY)) as found:
        await found.until(lambda: found.complete, "everything was listed")
        await grant(kube, reader.user, "reader", [OWN, *OTHERS], namespace)

        def trouble(reason: Reason | None) -> bool:
            told = found.reading("Service", namespace).trouble
            return (told.reason if told else None) is reason

        await found.until(lambda: trouble(Reason.FORBIDDEN), "Services are forbidden")
        assert found.names("Service") == {"shop"}
        assert found.reading("EndpointSlice", namespace).trouble is None
        await kube.create(service(namespace, "late"))
        await grant(kube, reader.user, "reader", [OWN, SERVICES, *OTHERS], namespace)
        await found.until(lambda: trouble(None), "Services can be read")
        await found.until(lambda: found.names("Service") == {"shop", "late"}, "the new Service")


async def test_a_namespace_that_is_not_allowed_is_not_asked_for(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str
) -> None:
    other = f"t-{uuid.uuid4().hex[:10]}"
    await kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    for place in (namespace, other):
        await kube.create(route(place, f"in-{place}"))
    reader = await account(kube, kube_api, namespace, "narrow", [OWN, SERVICES, *OTHERS])
    async with following(source(find_access(reader.kubeconfig()), Scope((namespace,)))) as found:
        await found.until(lambda: found.complete, "everything was listed")
        await found.until(lambda: found.source.restarts().running, "handlers run")
        await kube.create(route(namespace, "new"))
        await found.until(lambda: "new" in found.names("Route"), "the new Route")
        assert found.names("Route") == {f"in-{namespace}", "new"}
        assert found.names("Secret") == set()
    assert reader.denied() == ()
    assert {call.namespace for call in reader.calls() if call.resource == "routes"} == {namespace}
    assert not any(call.resource == "secrets" for call in reader.calls())


async def test_handlers_that_end_or_hang_are_healed(
    kube_api: KubeApi, kube: Kube, crds: object, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, faults = source_module.operate, ["end", "fail", "hang"]

    async def operate(*given: Any, **named: Any) -> None:
        fault = faults.pop(0) if faults else ""
        match fault:
            case "end":
                return
            case "fail":
                raise RuntimeError("no more")
            case "hang":
                time.sleep(3)  # noqa: ASYNC251 - that is the fault
        await real(*given, **named)

    monkeypatch.setattr(source_module, "operate", operate)
    patience = Patience(beat=0.1, hung=1.0)
    reading = source(find_access(kube_api.kubeconfig), patience=patience)
    slowest = 0.0
    async with following(reading) as found:
        await found.until(lambda: found.complete, "everything was listed")
        for _ in range(400):
            begun = asyncio.get_running_loop().time()
            await asyncio.sleep(0.01)
            slowest = max(slowest, asyncio.get_running_loop().time() - begun)
            if reading.restarts().count == 3 and reading.restarts().running:
                break
        assert reading.restarts().count == 3
        await kube.create(route(namespace, "after"))
        await found.until(lambda: "after" in found.names("Route"), "events come again")
    assert slowest < 1.0


@pytest.fixture
async def own_kube(own_kube_api: KubeApi) -> AsyncIterator[Kube]:
    async with Kube(own_kube_api.url, own_kube_api.authority, own_kube_api.token) as client:
        yield client


def definitions() -> list[Document]:
    return [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]


@pytest.mark.slow
async def test_kinds_that_are_installed_later_are_found(own_kube_api: KubeApi, own_kube: Kube) -> None:
    async with following(source(find_access(own_kube_api.kubeconfig))) as found:
        await found.until(lambda: found.changes, "a first change", 15)
        trouble = found.reading("Route").trouble
        assert trouble is not None
        assert trouble.reason is Reason.MISSING
        assert not found.complete
        assert "default" in found.names("Namespace")
        await establish(own_kube, *definitions())
        await found.until(lambda: found.complete, "everything was listed")
        await found.until(lambda: found.reading("Route").trouble is None, "Routes can be read")
        await own_kube.create(route("default", "first"))
        await found.until(lambda: "first" in found.names("Route"), "a Route", 20)
        # Lists bring it too, but are no event: that comes from handlers that were started anew.
        await found.until(lambda: found.reading("Route").heard, "an event of a Route", 20)


@pytest.mark.slow
async def test_no_ghost_survives_an_api_server_that_was_away(own_kube_api: KubeApi, own_kube: Kube) -> None:
    await establish(own_kube, *definitions())
    for name in ("ghost", "stays"):
        await own_kube.create(service("default", name))
        await own_kube.create(route("default", name))
    async with FaultProxy(own_kube_api) as proxy:
        token = own_kube_api.write_kubeconfig("proxied", own_kube_api.token, url=proxy.url)
        async with following(source(find_access(token), pace=STEADY)) as found:
            await found.until(lambda: found.complete, "everything was listed")
            await found.until(lambda: found.source.restarts().running, "handlers run")
            await proxy.refuse()
            for name in ("Service", "Route"):
                version = "v1" if name == "Service" else "northgate.dev/v1alpha1"
                await own_kube.delete(Key(version, name, "ghost", "default"))
            await asyncio.to_thread(own_kube_api.stop)
            proxy.heal()
            await found.until(lambda: found.reading("Service").trouble, "the API server is away")
            assert {"ghost", "stays"} <= found.names("Service") & found.names("Route")
            await asyncio.to_thread(own_kube_api.start)
            await found.until(lambda: found.names("Route") == {"stays"}, "no ghost of a Route", 30)
            await found.until(lambda: "ghost" not in found.names("Service"), "no ghost of a Service", 30)
            assert "stays" in found.names("Service")
            await found.until(lambda: found.reading("Service").trouble is None, "the API server is back", 30)


@pytest.mark.slow
async def test_another_history_is_believed(own_kube_api: KubeApi, own_kube: Kube) -> None:
    await establish(own_kube, *definitions())
    saved = await asyncio.to_thread(own_kube_api.save)
    await own_kube.create(route("default", "later"))
    async with following(source(find_access(own_kube_api.kubeconfig), pace=STEADY)) as found:
        await found.until(lambda: found.complete, "everything was listed")
        assert found.names("Route") == {"later"}
        await asyncio.to_thread(own_kube_api.restore, saved)
        await found.until(lambda: found.names("Route") == set(), "what was never there is gone", 30)
        await own_kube.create(service("default", "new"))
        await found.until(lambda: "new" in found.names("Service"), "changes are seen", 30)
