"""A control plane with mutual TLS, and pods of one gateway of it: what an installation is, in one test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from tests.harness.ports import HeldPorts
from tests.workloads.conftest import gateway
from tests.workloads.node import Pod

from northgate.control import ControlPlane
from northgate.kube.pki import Authorities, Pair, client_leaf, server_leaf, settled
from northgate.kube.secrets import client_secret
from northgate.kube.workloads.children import children
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.ops.scenery import NAMESPACE, endpoint_slices, make_pair, secret
from northgate.translate.bootstrap import TcpAddress
from northgate.translate.listeners import Binding
from northgate.translate.ports import PROBE_PORT, STATS_PORT
from northgate.world.key import ObjectKey
from northgate.xds.credentials import Identity, ServerIdentity, only_own_gateway
from northgate.xds.server import Options

HOST = "127.0.0.1"
NAME = ("edge", "edge")


class Cluster:
    """One gateway. Every pod has ports of its own here, so the control plane is told where each one's listeners are."""

    def __init__(self, upstreams: Mapping[str, int], *, proxy: Mapping[str, Any] | None = None) -> None:
        self.gateway: Gateway = gateway(dict(proxy or {}), name=NAME[1])
        self.upstreams = upstreams
        self.held = HeldPorts()
        self.port = self.held()
        self.listeners = {port: self.held() for port in self.gateway.ports}
        self.authorities: Authorities = settled(None, now())
        self.pair = make_pair("*.example.test", "example.test")
        self.plane: ControlPlane
        self.identity: ServerIdentity
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start_control()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.plane.stop(0.2)
        await self._stack.aclose()
        self.held.close()

    async def start_control(self) -> None:
        self.plane = ControlPlane(Binding(HOST, self.listeners))
        self.plane.server.options = Options(admits=only_own_gateway)
        self.identity = ServerIdentity(self.server_identity())
        if self.port in self.held._sockets:
            self.held.release(self.port)
        await self.plane.server.start(f"{HOST}:{self.port}", self.identity.credentials())

    def server_identity(self, at: dt.datetime | None = None) -> Identity:
        leaf = server_leaf(None, self.authorities, (HOST,), at or now())
        return Identity(leaf.certificate, leaf.key, self.authorities.trusted)

    def serve(self, *more: tuple[ObjectKey, Mapping[str, Any]], without: frozenset[str] = frozenset()) -> None:
        """Take in the gateway, its certificate (unless it is left out), upstreams' endpoints, and more objects."""
        found = [
            (ObjectKey("northgate.dev", "EdgeGateway", *NAME), self.document()),
            *(() if "certificate" in without else (secret("edge", "shop-tls", self.pair),)),
            *endpoint_slices(self.upstreams),
            *more,
        ]
        self.plane.take(found)

    def document(self) -> dict[str, Any]:
        spec = self.gateway.spec.model_dump(by_alias=True, exclude_none=True, mode="json")
        for listener in spec["listeners"]:
            listener["allowedRoutes"] = {"namespaces": {"from": "All"}}
        return {
            "apiVersion": "northgate.dev/v1alpha1",
            "kind": "EdgeGateway",
            "metadata": {"namespace": NAME[0], "name": NAME[1], "generation": 1},
            "spec": spec,
        }

    def leaf(self, group: str = "/".join(NAME), at: dt.datetime | None = None) -> Pair:
        return client_leaf(None, self.authorities, group, at or now())

    def pod(self, name: str, leaf: Pair | None = None, gateway: Gateway | None = None) -> Pod:
        installation = Installation("northgate", TcpAddress(HOST, self.port))
        ports = {STATS_PORT: self.held(), PROBE_PORT: self.held()}
        self.held.release(ports[PROBE_PORT])
        objects = children(gateway or self.gateway, installation)
        return Pod(name, objects, client_secret(self.gateway, leaf or self.leaf(), self.authorities), ports)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def route(upstream: str) -> tuple[tuple[ObjectKey, dict[str, Any]], ...]:
    """A Route of every hostname to one upstream, and the upstream's Service."""
    service = {
        "metadata": {"namespace": NAMESPACE, "name": upstream},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }
    spec = {
        "parentRefs": [{"namespace": NAME[0], "name": NAME[1]}],
        "rules": [{"backendRefs": [{"name": upstream, "port": 80}]}],
    }
    written = {"metadata": {"namespace": NAMESPACE, "name": upstream, "generation": 1}, "spec": spec}
    return (
        (ObjectKey("", "Service", NAMESPACE, upstream), {"apiVersion": "v1", "kind": "Service", **service}),
        (
            ObjectKey("northgate.dev", "Route", NAMESPACE, upstream),
            {"apiVersion": "northgate.dev/v1alpha1", "kind": "Route", **written},
        ),
    )
