"""Which fixtures every test may use: echo upstreams, real Envoys, held ports, certificates."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from tests.harness.certificates import TlsPairs
from tests.harness.ports import HeldPorts

from northgate.ops.echo_server import EchoUpstreams

settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


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
