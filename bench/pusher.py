"""The null control of propagation: a server that only sends bytes made before, so its latency is the floor."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import cast

import grpc
from bench.worlds import GATEWAY, Workload, World
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import ROUTE, Resource
from northgate.translate.listeners import Binding

_METHOD = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Pusher:
    """Answers each first question with everything of its type; then sends one of two route tables when told."""

    def __init__(self, world: World, port: int) -> None:
        edge = Edge(Binding("127.0.0.1", {80: port}))
        edge.apply(world.objects())
        self._answers = {url: _encoded(url, list(held.values())) for url, held in edge.resources(GATEWAY).items()}
        self._variants = []
        for tag in ("v0", "v1"):
            edge.apply([world.route(world.routes - 1, tag=tag)])
            self._variants.append(_encoded(ROUTE, list(edge.resources(GATEWAY)[ROUTE].values())))
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def start(self) -> str:
        """Serve on a free port; returns the address."""
        self._server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        handler = grpc.stream_stream_rpc_method_handler(self._serve)
        methods = {"DeltaAggregatedResources": handler}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_METHOD, methods),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    def push(self, variant: int) -> None:
        """Send a variant of the route table."""
        self._queue.put_nowait(self._variants[variant])

    async def _serve(
        self, requests: AsyncIterator[bytes], _context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        reading = asyncio.create_task(self._read(requests))
        while True:
            yield await self._queue.get()
        del reading

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        answered: set[str] = set()
        async for data in requests:
            request = discovery.DeltaDiscoveryRequest.FromString(data)
            if request.type_url not in answered:
                answered.add(request.type_url)
                self._queue.put_nowait(self._answers.get(request.type_url) or _encoded(request.type_url, []))


def _encoded(type_url: str, resources: list[Resource]) -> bytes:
    response = discovery.DeltaDiscoveryResponse(type_url=type_url, nonce="n")
    for one in resources:
        added = response.resources.add(name=one.name, version=one.version)
        added.resource.type_url, added.resource.value = type_url, one.body
    encoded: bytes = response.SerializeToString()
    return encoded


async def main(world: World, port: int) -> None:
    """Push what the input tells until it ends."""
    pusher = Pusher(world, port)
    print(json.dumps({"xds": await pusher.start()}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        pusher.push(json.loads(line)["variant"])


if __name__ == "__main__":
    listener, routes, upstream = map(int, sys.argv[2:5])
    asyncio.run(main(World(cast("Workload", sys.argv[1]), routes, upstream), listener))
