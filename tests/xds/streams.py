"""One session driven by hand: what is sent in, what comes out."""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from tests.xds import worlds

from northgate.deliver.events import Event
from northgate.deliver.order import Gates
from northgate.snapshot.resource import ENDPOINT
from northgate.xds.cache import Cache
from northgate.xds.request import Dialect
from northgate.xds.session import Output, Session, Terms

GROUP = "pop/edge"


class Wire:
    """A control plane with one group, and a stream of it. `now` is the clock."""

    def __init__(self, dialect: Dialect, *resources: Any, cache: Cache | None = None, limit: int = 4_000_000) -> None:
        self.dialect, self.now = dialect, 0.0
        self.cache = cache or Cache()
        self.world: worlds.World = {}
        self.events: list[Event] = []
        self.deadline: float | None = None
        self.terms = Terms(Gates(ack=15.0, grace=5.0), limit)
        self.open()
        if resources:
            self.publish(*resources)

    def open(self) -> None:
        self.session = Session(self.dialect, lambda node: self.cache.group(node.cluster), self.terms)
        self.node: dict[str, str] | None = {"id": "n1", "cluster": GROUP, "user_agent_name": "envoy"}

    def publish(self, *resources: Any) -> list[Any]:
        new = worlds.world(*resources)
        self.cache.publish(GROUP, worlds.change(self.world, new))
        self.world = new
        return self._read(self.session.published(self.now))

    def wait(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self._read(self.session.tick(self.now))

    def ask(
        self, type_url: str, *names: str, nonce: str = "", version: str = "", error: str | None = None
    ) -> list[Any]:
        """A State-of-the-World request."""
        request = DiscoveryRequest(type_url=type_url, resource_names=names, response_nonce=nonce, version_info=version)
        return self._send(request, error)

    def want(self, type_url: str, *names: str, drop: tuple[str, ...] = (), **versions: str) -> list[Any]:
        """A delta request that subscribes and unsubscribes."""
        request = DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=drop,
            initial_resource_versions=versions,
        )
        return self._send(request, None)

    def ack(self, response: Any, *names: str, error: str | None = None) -> list[Any]:
        if self.dialect is Dialect.STATE:
            version = "" if error else response.version_info
            return self.ask(response.type_url, *names, nonce=response.nonce, version=version, error=error)
        return self._send(DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce), error)

    def first(self, type_url: str, *names: str) -> Any:
        """Ask for the first time; the one response, ACKed."""
        (response,) = self.begin(type_url, *names)
        assert self.ack(response, *names) == []
        return response

    def begin(self, type_url: str, *names: str) -> list[Any]:
        return self.ask(type_url, *names) if self.dialect is Dialect.STATE else self.want(type_url, *names)

    def _send(self, request: Any, error: str | None) -> list[Any]:
        if self.node is not None:
            for key, value in self.node.items():
                setattr(request.node, key, value)
            self.node = None
        if error is not None:
            request.error_detail.code, request.error_detail.message = 13, error
        return self._read(self.session.receive(request.SerializeToString(), self.now))

    def _read(self, output: Output) -> list[Any]:
        assert output.refusal is None
        self.events.extend(output.events)
        self.deadline = output.deadline
        kind: Any = DiscoveryResponse if self.dialect is Dialect.STATE else DeltaDiscoveryResponse
        return [kind.FromString(data) for data in output.responses]

    def names(self, response: Any) -> list[str]:
        if self.dialect is Dialect.DELTA:
            return sorted(one.name for one in response.resources)
        messages = (worlds.MESSAGES[response.type_url].FromString(one.value) for one in response.resources)
        return sorted(one.cluster_name if response.type_url == ENDPOINT else one.name for one in messages)
