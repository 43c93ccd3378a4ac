"""A whole edge in one test: control plane, a real Envoy on free ports, the examples' upstreams and certificate."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.envoy import EnvoyProcess
from tests.harness.ports import HeldPorts

from northgate.control import ControlPlane
from northgate.deliver.statuses import Document as StatusDocument
from northgate.files.documents import read_documents
from northgate.ops.scenery import endpoint_slices, localised, make_pair, secret, upstreams
from northgate.ops.table_run import Place
from northgate.translate.bootstrap import BootstrapOptions, NodeIdentity, TcpAddress, bootstrap_yaml
from northgate.translate.listeners import Binding
from northgate.world.key import ObjectKey
from northgate.world.store import Name

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE_PORTS = (80, 443, 8443, 9000)
"""The ports of the examples' gateway."""
Objects = Iterable[tuple[ObjectKey, Mapping[str, Any]]]


class RunningEdge:
    """The control plane in this process and one real Envoy for one gateway.

    `ports` are the gateway's ports that get a free one here; `place` runs request tables against the edge.
    """

    def __init__(
        self, gateway: Name = ("edge", "edge"), ports: Iterable[int] = EXAMPLE_PORTS, *, delta: bool = True
    ) -> None:
        self.gateway = gateway
        self.delta = delta
        self._held = HeldPorts()
        self.ports = {port: self._held() for port in ports}
        self.plane = ControlPlane(Binding("127.0.0.1", self.ports))
        self.pair = make_pair("*.example.test", "example.test")
        self._folder = tempfile.TemporaryDirectory(prefix="ng-edge-")
        self.upstreams = upstreams(self.pair, Path(self._folder.name))
        self.envoy: EnvoyProcess

    async def __aenter__(self) -> Self:
        await self.upstreams.__aenter__()
        address = await self.plane.start("127.0.0.1:0")
        for port in self.ports.values():
            self._held.release(port)
        host, _, port = address.rpartition(":")
        node = NodeIdentity("proxy-1", "/".join(self.gateway))
        options = BootstrapOptions(node, TcpAddress(host, int(port)), "replaced", delta=self.delta)
        self.envoy = EnvoyProcess(bootstrap_yaml(options))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.envoy.stop()
        await self.plane.stop(0.2)
        await self.upstreams.__aexit__(kind, error, trace)
        self._held.close()
        self._folder.cleanup()

    async def serve(self, objects: Objects) -> None:
        """Start Envoy on these objects and wait until it confirmed all of them."""
        self.plane.take(objects)
        await self.envoy.start()
        await self.envoy.ready()
        await self.confirmed()

    async def apply(self, objects: Objects, removed: Iterable[ObjectKey] = ()) -> None:
        """Change objects and wait until Envoy confirmed the change."""
        self.plane.take(objects, removed)
        await self.confirmed()

    async def confirmed(self, deadline: float = 20.0) -> None:
        """Wait until Envoy holds everything that is published."""
        try:
            await asyncio.wait_for(self.plane.synced(self.gateway), deadline)
        except TimeoutError:
            raise AssertionError(f"not confirmed: {self.plane.proxies(self.gateway)}\n{self.envoy.log()}") from None

    def scenery(self) -> Objects:
        """Endpoints and certificate of the examples."""
        yield from endpoint_slices(self.upstreams.ports())
        yield secret("edge", "example-tls", self.pair)

    def objects(self, *files: Path) -> Objects:
        """The objects of example files, localised."""
        ports = self.upstreams.ports()
        for file in files:
            content = read_documents(str(file), file.read_bytes())
            assert not content.problems, content.problems
            yield from ((one.key, localised(one.raw, ports)) for one in content.documents)

    def place(self) -> Place:
        """Where request tables find the edge."""
        authority = Path(self._folder.name) / "ca.pem"
        authority.write_text(self.pair.authority)
        return Place(
            {port: ("127.0.0.1", bound) for port, bound in self.ports.items()}, ca=authority, upstreams=self.upstreams
        )

    def status(self, kind: str, name: str, namespace: str = "demo") -> StatusDocument:
        """The status of one object now."""
        return self.plane.statuses()[ObjectKey("northgate.dev", kind, namespace, name)]
