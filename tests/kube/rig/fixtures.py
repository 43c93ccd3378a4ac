"""Which fixtures bring a cluster's API into a test? A real API server, its client, faults, and the usual commands.

A folder of tests gets them by `import_plugin` in its conftest: one API server then serves a whole test process.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
from tests.charts.binaries import HELM_3, HELM_4, Tool, command
from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.client import Document, Kube, establish
from tests.kube.rig.controllers import Controllers
from tests.kube.rig.definitions import definitions
from tests.kube.rig.fault_proxy import FaultProxy
from tests.kube.rig.programs import SERVERS, UnavailableError, programs

T = TypeVar("T")


def or_skip(find: Callable[[], T]) -> T:
    """What `find` finds; where it is unavailable the test fails in CI and is skipped, with the reason, elsewhere."""
    try:
        return find()
    except UnavailableError as error:
        _unavailable(str(error))


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kube_programs() -> dict[str, Path]:
    return or_skip(lambda: programs(*SERVERS))


@pytest.fixture(scope="session")
def kube_api(kube_programs: dict[str, Path]) -> Iterator[KubeApi]:
    """An API server for the whole test process. Tests keep to namespaces of their own and never stop it."""
    with KubeApi(kube_programs) as api:
        yield api


@pytest.fixture
def own_kube_api(kube_programs: dict[str, Path]) -> Iterator[KubeApi]:
    """An API server for one test, to be stopped, frozen, wiped, or filled with cluster-wide objects."""
    with KubeApi(kube_programs) as api:
        yield api


@pytest.fixture(scope="module")
def kube_controllers(kube_api: KubeApi) -> Iterator[Controllers]:
    """Controllers of `kube_api` while a module's tests run: garbage collection, Deployments, namespace deletion."""
    program = or_skip(lambda: programs("kube-controller-manager"))["kube-controller-manager"]
    with Controllers(kube_api, program) as controllers:
        yield controllers


@pytest.fixture
async def kube(kube_api: KubeApi) -> AsyncIterator[Kube]:
    """The administrator's client of `kube_api`."""
    async with Kube(kube_api.url, kube_api.authority, kube_api.token) as client:
        yield client


@pytest.fixture
async def crds(kube: Kube) -> tuple[Document, ...]:
    """The committed CRDs, established in `kube_api`."""
    await establish(kube, *definitions())
    return definitions()


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    """A namespace of this test's own, deleted (which takes controllers to complete) afterwards."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await kube.create(document)
    yield name
    await kube.delete(document)


@pytest.fixture
async def fault_proxy(kube_api: KubeApi) -> AsyncIterator[FaultProxy]:
    """A proxy before `kube_api` that can fail."""
    async with FaultProxy(kube_api) as proxy:
        yield proxy


@pytest.fixture
def kubectl(kube_api: KubeApi) -> Tool:
    """The administrator's kubectl for `kube_api`."""
    return or_skip(lambda: command(HELM_4, "kubectl")).at(kube_api.kubeconfig)


@pytest.fixture(scope="session")
def helm() -> Tool:
    """Helm 4. It knows no cluster: `helm.at(kube_api.kubeconfig)`."""
    return or_skip(lambda: command(HELM_4, "helm"))


@pytest.fixture(scope="session")
def helm3() -> Tool:
    """Helm 3. It knows no cluster."""
    return or_skip(lambda: command(HELM_3, "helm"))


@pytest.fixture(params=["helm", "helm3"])
def any_helm(request: pytest.FixtureRequest) -> Tool:
    """Helm 4, then Helm 3: the test runs with each."""
    tool: Tool = request.getfixturevalue(request.param)
    return tool
