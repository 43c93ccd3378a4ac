"""What stands before the pods: a balancer of connections that knows of them what their readiness probes say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

from tests.harness.facts import wait_for
from tests.workloads.node import Pod

_CHUNK = 65_536


@dataclass(slots=True)
class Member:
    """A pod, where its listeners are, and what its probe said lately."""

    pod: Pod
    ports: dict[int, int]
    ready: bool = False
    failures: int = 0


class Balancer:
    """Forwards connections for each of the listeners' ports; `addresses` says where it takes them."""

    def __init__(self, ports: Iterable[int]) -> None:
        self.addresses: dict[int, tuple[str, int]] = dict.fromkeys(ports, ("", 0))
        self._members: list[Member] = []
        self._turn = count()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for port in self.addresses:
            server = await asyncio.start_server(lambda r, w, port=port: self._forward(port, r, w), "127.0.0.1", 0)
            self._servers.append(server)
            self.addresses[port] = server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def add(self, pod: Pod, ports: dict[int, int]) -> None:
        """Watch a pod; returns once it is ready."""
        member = Member(pod, ports)
        self._members.append(member)
        task = asyncio.create_task(self._watch(member))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        async def ready() -> bool:
            return member.ready

        await wait_for(ready, f"{pod.name} is ready", 30)

    def forget(self, pod: Pod) -> None:
        """The pod is gone."""
        self._members = [one for one in self._members if one.pod is not pod]

    async def _watch(self, member: Member) -> None:
        """As the kubelet does: one good answer makes ready, `failureThreshold` bad ones in a row make unready."""
        probe = member.pod.container["readinessProbe"]
        while member in self._members:
            good = await member.pod.probe("readiness")
            member.failures = 0 if good else member.failures + 1
            member.ready = good or (member.ready and member.failures < probe["failureThreshold"])
            await asyncio.sleep(probe["periodSeconds"])

    async def _forward(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [one for one in self._members if one.ready]
        try:
            inner_reader, inner_writer = await asyncio.open_connection(
                "127.0.0.1", ready[next(self._turn) % len(ready)].ports[port]
            )
        except (OSError, ZeroDivisionError):
            writer.transport.abort()
            return
        with suppress(OSError):
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        writer.transport.abort()
        return
    writer.close()
