"""A raw gRPC client of the aggregated discovery service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

from northgate.xds.request import Dialect
from northgate.xds.server import SERVICE

DEADLINE = 10.0
_METHOD = {Dialect.STATE: "StreamAggregatedResources", Dialect.DELTA: "DeltaAggregatedResources"}


class Client:
    """One stream. `ask` and `ack` send, `answer` waits for a response."""

    def __init__(self, call: Any, dialect: Dialect) -> None:
        self.call, self.dialect = call, dialect

    async def send(self, **fields: Any) -> None:
        kind: Any = DiscoveryRequest if self.dialect is Dialect.STATE else DeltaDiscoveryRequest
        await self.call.write(kind(**fields).SerializeToString())

    async def ask(self, type_url: str, *names: str, node: str | None = "n1", group: str = "pop/edge") -> None:
        key = "resource_names" if self.dialect is Dialect.STATE else "resource_names_subscribe"
        who = {"node": {"id": node, "cluster": group}} if node is not None else {}
        await self.send(type_url=type_url, **{key: list(names)}, **who)

    async def ack(self, response: Any, *names: str, error: str | None = None) -> None:
        fields: dict[str, Any] = {"type_url": response.type_url, "response_nonce": response.nonce}
        if self.dialect is Dialect.STATE:
            fields |= {"resource_names": list(names), "version_info": response.version_info}
        if error is not None:
            fields["error_detail"] = {"code": 13, "message": error}
        await self.send(**fields)

    async def answer(self) -> Any:
        data = await asyncio.wait_for(self.call.read(), DEADLINE)
        assert data is not grpc.aio.EOF, await self.call.details()
        return (DiscoveryResponse if self.dialect is Dialect.STATE else DeltaDiscoveryResponse).FromString(data)

    async def end(self) -> grpc.StatusCode:
        with suppress(grpc.aio.AioRpcError):
            while await asyncio.wait_for(self.call.read(), DEADLINE) is not grpc.aio.EOF:
                pass
        return await self.call.code()  # type: ignore[no-any-return] # grpc has no types here

    def names(self, response: Any) -> set[str]:
        if self.dialect is Dialect.DELTA:
            return {one.name for one in response.resources}
        return {str(one.value) for one in response.resources}


@asynccontextmanager
async def connect(address: str, dialect: Dialect) -> AsyncIterator[Client]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call = channel.stream_stream(f"/{SERVICE}/{_METHOD[dialect]}")()
        try:
            yield Client(call, dialect)
        finally:
            call.cancel()


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact, with a deadline."""
    async with asyncio.timeout(DEADLINE):
        while not fact():  # noqa: ASYNC110 - another process or task makes it true
            await asyncio.sleep(0.005)
