"""Is the API server of the tests a real one, and do its faults fail as real ones do?"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.charts.binaries import CommandError, Tool
from tests.harness.facts import wait_for
from tests.kube.rig.accounts import account, issue
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import ApiError, Document, Key, Kube
from tests.kube.rig.controllers import Controllers
from tests.kube.rig.fault_proxy import Answer, FaultProxy

READ_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}


def config_map(namespace: str, name: str = "one", **data: str) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


@pytest.fixture
async def behind(kube_api: KubeApi, fault_proxy: FaultProxy) -> AsyncIterator[Kube]:
    """A client whose way leads through the fault proxy."""
    async with Kube(fault_proxy.url, kube_api.authority, kube_api.token) as client:
        yield client


async def test_objects_are_applied_found_and_deleted(kube: Kube, namespace: str) -> None:
    written = await kube.apply(config_map(namespace, a="1"))
    await kube.patch(written, {"data": {"b": "2"}})

    assert (await kube.get(written))["data"] == {"a": "1", "b": "2"}
    assert [found["metadata"]["name"] for found in await kube.list("v1", "ConfigMap", namespace)] == ["one"]
    await kube.delete(written)
    await kube.gone(written)
    assert await kube.find(written) is None


async def test_a_refusal_carries_its_causes(kube: Kube, namespace: str) -> None:
    with pytest.raises(ApiError) as refused:
        await kube.create(config_map(namespace, "Not_A_Name"))

    assert refused.value.status == 422
    assert [field for field, _ in refused.value.causes] == ["metadata.name"]


async def test_an_account_may_do_what_its_rules_say_and_the_log_tells_what_it_was_denied(
    kube: Kube, kube_api: KubeApi, namespace: str
) -> None:
    await kube.apply(config_map(namespace))
    reader = await account(kube, kube_api, namespace, "reader", [READ_MAPS])
    async with reader.client() as client:
        await client.get(config_map(namespace))
        assert reader.denied() == ()
        with pytest.raises(ApiError, match="403 Forbidden"):
            await client.delete(config_map(namespace))
        with pytest.raises(ApiError, match="403 Forbidden"):
            await client.list("v1", "ConfigMap")

    assert [(call.verb, call.resource, call.name, call.code) for call in reader.denied()] == [
        ("delete", "configmaps", "one", 403),
        ("list", "configmaps", "", 403),
    ]
    assert [call.resource for call in reader.calls() if call.verb == "get" and call.resource] == ["configmaps"]


async def test_an_accounts_kubeconfig_and_mount_are_its_own(
    kube: Kube, kube_api: KubeApi, namespace: str, kubectl: Tool, tmp_path: Path
) -> None:
    await kube.apply(config_map(namespace))
    reader = await account(kube, kube_api, namespace, "reader", [READ_MAPS])

    theirs = kubectl.at(reader.kubeconfig())

    assert await theirs("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}") == reader.user
    assert await theirs("get", "configmaps", "-o", "name") == "configmap/one\n"
    with pytest.raises(CommandError, match="secrets is forbidden"):
        await theirs("get", "secrets")
    mount = reader.write_mount(tmp_path / "mount", await issue(kube, namespace, "reader"))
    assert (mount / "token").read_text() != reader.token
    assert (mount / "namespace").read_text() == namespace


async def test_a_watch_is_logged_once_and_from_its_start(
    kube: Kube, kube_api: KubeApi, namespace: str, fault_proxy: FaultProxy, behind: Kube
) -> None:
    mark = kube_api.audit.mark()
    path = await kube.path(Key("v1", "ConfigMap", "", namespace))

    def watches() -> list[int]:
        calls = kube_api.audit.calls(since=mark)
        return [call.code for call in calls if call.verb == "watch" and call.namespace == namespace]

    async with behind.session.get(path, params={"watch": "1"}) as watch:
        await kube.apply(config_map(namespace))
        assert json.loads(await watch.content.readline())["type"] == "ADDED"
        assert watches() == [200]
        await fault_proxy.cut()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.readline()

    async def logged_twice() -> bool:
        return (kube_api.folder / "audit.log").read_text().count(f"{path}?watch=1") == 2

    await wait_for(logged_twice, "the watch's start and its end are in the log")
    assert watches() == [200]


async def test_a_refusing_proxy_heals(fault_proxy: FaultProxy, behind: Kube) -> None:
    await behind.call("GET", "/readyz")
    await fault_proxy.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await behind.call("GET", "/readyz")

    fault_proxy.heal()

    await behind.call("GET", "/readyz")


async def test_nothing_comes_out_of_a_black_hole_until_it_heals(
    fault_proxy: FaultProxy, behind: Kube, kube_api: KubeApi
) -> None:
    await behind.call("GET", "/readyz")
    fault_proxy.blackhole()
    held = asyncio.create_task(behind.call("GET", "/readyz"))
    handshake = asyncio.create_task(
        asyncio.open_connection("127.0.0.1", fault_proxy.port, ssl=kube_api.authority.client_tls())
    )
    assert await asyncio.wait((held, handshake), timeout=0.3) == (set(), {held, handshake})

    fault_proxy.heal()

    assert (await held)["message"] == "ok"
    _, writer = await handshake
    writer.transport.abort()


async def test_a_delay_is_felt(fault_proxy: FaultProxy, behind: Kube) -> None:
    await behind.call("GET", "/readyz")
    fault_proxy.delay(0.2)
    slow = asyncio.create_task(behind.call("GET", "/readyz"))

    assert await asyncio.wait((slow,), timeout=0.3) == (set(), {slow})  # 0.2 s on the way there, 0.2 s on the way back
    await slow


async def test_chosen_requests_are_answered_by_the_proxy(fault_proxy: FaultProxy, behind: Kube, namespace: str) -> None:
    busy = fault_proxy.answer(
        Answer(429, "POST", f"/namespaces/{namespace}/configmaps", times=2, headers={"Retry-After": "1"})
    )
    for _ in range(2):
        with pytest.raises(ApiError) as refused:
            await behind.create(config_map(namespace, text="x" * 100_000))
        assert refused.value.status == 429

    await behind.create(config_map(namespace, text="x" * 100_000))

    assert busy.given == 2
    assert [asked.method for asked in fault_proxy.asked if "configmaps" in asked.path] == ["POST"] * 3


async def test_an_error_can_come_within_a_watch(fault_proxy: FaultProxy, behind: Kube, namespace: str) -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    fault_proxy.answer(Answer(200, "GET", "watch=1", times=1, body=json.dumps(gone).encode() + b"\n"))
    path = await behind.path(Key("v1", "ConfigMap", "", namespace))

    async with behind.session.get(path, params={"watch": "1"}) as watch:
        assert json.loads(await watch.content.readline())["object"]["code"] == 410
        assert await watch.content.readline() == b""


async def test_kubectl_passes_the_proxy(kube_api: KubeApi, fault_proxy: FaultProxy, kubectl: Tool) -> None:
    through = kubectl.at(kube_api.write_kubeconfig("through-proxy", kube_api.token, url=fault_proxy.url))

    assert "default" in await through("get", "namespaces")
    assert any(asked.path.startswith("/api/v1/namespaces") for asked in fault_proxy.asked)


async def test_a_server_can_be_stopped_wiped_and_set_back(own_kube_api: KubeApi) -> None:
    api = own_kube_api
    async with Kube(api.url, api.authority, api.token) as kube:
        first = await kube.apply(config_map("default", "first"))
        saved = await asyncio.to_thread(api.save)
        later = await kube.apply(config_map("default", "later"))
        await asyncio.to_thread(api.stop)
        with pytest.raises(aiohttp.ClientConnectorError):
            await kube.get(first)
        await asyncio.to_thread(api.start)
        assert await kube.get(later)

        await asyncio.to_thread(api.restore, saved)
        assert await kube.get(first)
        assert await kube.find(later) is None

        await asyncio.to_thread(api.wipe)
        assert await kube.find(first) is None


async def test_a_frozen_server_answers_when_it_thaws(own_kube_api: KubeApi) -> None:
    async with Kube(own_kube_api.url, own_kube_api.authority, own_kube_api.token) as kube:
        own_kube_api.server.freeze()
        held = asyncio.create_task(kube.call("GET", "/readyz"))
        assert await asyncio.wait((held,), timeout=0.3) == (set(), {held})

        own_kube_api.server.thaw()

        assert (await held)["message"] == "ok"


def deployment(namespace: str) -> Document:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "localhost/none:0"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod},
    }


async def test_controllers_make_pods_collect_garbage_and_empty_namespaces(
    kube: Kube, kube_controllers: Controllers, namespace: str
) -> None:
    async def pods() -> int:
        return len(await kube.list("v1", "Pod", namespace))

    async def two() -> bool:
        return await pods() == 2

    async def none() -> bool:
        return await pods() == 0

    written = await kube.apply(deployment(namespace))
    await wait_for(two, "two pods of the Deployment", 20)
    await kube.delete(written, propagationPolicy="Background")
    await wait_for(none, "its pods are collected", 30)
    await kube.delete(Key("v1", "Namespace", namespace))
    await kube.gone(Key("v1", "Namespace", namespace), 30)


def test_the_servers_die_with_the_process_that_started_them(kube_programs: dict[str, Path], tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from tests.kube.rig.api_server import KubeApi\n"
        "api = KubeApi({name: pathlib.Path(path) for name, path in zip(('etcd', 'kube-apiserver'), sys.argv[1:])})\n"
        "api.start()\n"
        "print(api.etcd.pid, api.server.pid, api.folder, flush=True)\n"
        "sys.stdin.read()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script, kube_programs["etcd"], kube_programs["kube-apiserver"]]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()[:2]]
        assert [_ended(pid) for pid in pids] == [False, False]
        parent.send_signal(signal.SIGKILL)
    asyncio.run(_all_end(pids))


async def _all_end(pids: list[int]) -> None:
    async def ended() -> bool:
        return all(_ended(pid) for pid in pids)

    await wait_for(ended, "both servers end")


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in {"Z", "X"}


def test_two_helms_are_there(helm: Tool, helm3: Tool) -> None:
    assert helm.run("version", "--template", "{{.Version}}").startswith("v4.")
    assert helm3.run("version", "--template", "{{.Version}}").startswith("v3.")


async def test_helm_installs_and_leaves_nothing(
    kube_api: KubeApi, kube: Kube, namespace: str, any_helm: Tool, tmp_path: Path
) -> None:
    chart = {"apiVersion": "v2", "name": "one", "version": "0.1.0"}
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(json.dumps(chart))
    (tmp_path / "templates" / "one.yaml").write_text(json.dumps(config_map("{{ .Release.Namespace }}", a="1")))
    helm = any_helm.at(kube_api.kubeconfig).by_default("-n", namespace)

    await helm("install", "release", tmp_path)
    assert (await kube.get(config_map(namespace)))["data"] == {"a": "1"}
    await helm("uninstall", "release")

    assert await kube.find(config_map(namespace)) is None


async def test_it_is_the_pinned_version(kube: Kube) -> None:
    assert (await kube.call("GET", "/version"))["gitVersion"].startswith("v1.")
