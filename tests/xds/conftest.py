"""Which fixtures the tests of the xDS server share: a running server and raw clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.xds.clients import Client, connect

from northgate.deliver.order import Gates
from northgate.xds.request import Dialect
from northgate.xds.server import Options, XdsServer
from northgate.xds.session import Terms


@pytest.fixture
async def server() -> AsyncIterator[XdsServer]:
    running = XdsServer(options=Options(Terms(Gates(ack=1.0, grace=0.2), identifier="test"), write_timeout=1.0))
    await running.start("127.0.0.1:0")
    yield running
    await running.stop(0.2)


@pytest.fixture(params=[Dialect.STATE, Dialect.DELTA], ids=["state", "delta"])
async def client(request: pytest.FixtureRequest, server: XdsServer) -> AsyncIterator[Client]:
    async with connect(server.address, request.param) as one:
        yield one
