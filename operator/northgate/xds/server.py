"""The grpc.aio server of the aggregated discovery service: opens streams, shows them what is published, ends them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, islice

import grpc

from northgate.deliver.events import Connected, Disconnected, Event, Rejected, SharedIdentity
from northgate.deliver.ledger import Ledger
from northgate.snapshot.resource import Delta
from northgate.xds.cache import Cache, Group
from northgate.xds.request import Dialect, Node
from northgate.xds.session import Session, Terms
from northgate.xds.stream import End, ForbiddenError, Hooks, Stream

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_METHODS = {"StreamAggregatedResources": Dialect.STATE, "DeltaAggregatedResources": Dialect.DELTA}
_STREAMS_PER_TURN = 64
_HOUR_MS = 3_600_000

_NOT_READY = End(grpc.StatusCode.UNAVAILABLE, "no configuration yet")
_STOPPING = End(grpc.StatusCode.UNAVAILABLE, "this control plane is going away")
_TOO_MANY = End(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams for one node id")
_SUPERSEDED = End(grpc.StatusCode.UNAVAILABLE, "a newer stream of the same node id took over")
_MOVED = End(grpc.StatusCode.UNAVAILABLE, "this proxy belongs to another group now")

log = logging.getLogger(__name__)


def cluster_of(node: Node) -> str:
    """The default mapping of proxies to groups: `node.cluster` is `namespace/gateway`."""
    return node.cluster


def everybody(_node: Node, _names: tuple[str, ...]) -> bool:
    """Admit whoever can connect."""
    return True


@dataclass(frozen=True, slots=True)
class Options:
    """Limits in seconds and counts. `same_id_window`: within it a closed stream that returns is another live proxy.

    `admits` says whether a peer whose certificate bears these subject alternative names may be that node; none are
    there without TLS.
    """

    terms: Terms = field(default_factory=Terms)
    write_timeout: float = 30.0
    streams_per_node: int = 16
    same_id_window: float = 60.0
    max_connection_age_ms: int = 4 * _HOUR_MS
    group_of: Callable[[Node], str] = cluster_of
    admits: Callable[[Node, tuple[str, ...]], bool] = everybody


class XdsServer:
    """One server. All methods are to be called from the loop that runs it.

    `observe` is called with (stream number, event) after the ledger was told, for logs and metrics.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        ledger: Ledger | None = None,
        options: Options | None = None,
        observe: Callable[[int, Event], None] | None = None,
    ) -> None:
        self.cache = cache or Cache()
        self.ledger = ledger or Ledger()
        self.options = options or Options()
        self.address = ""
        self._observe = observe
        self._serving = True
        self._server: grpc.aio.Server | None = None
        self._numbers = count(1)
        self._streams: dict[str, dict[int, Stream]] = defaultdict(dict)
        self._nodes: dict[str, dict[int, Stream]] = defaultdict(dict)
        self._closed_for_newer: dict[str, float] = {}
        self._rounds: dict[str, _Round] = {}
        self._hooks = Hooks(self._on_event, self._on_received, _on_bug)

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        """Listen on `host:port` (0: a free port) or `unix:path`; returns the address that is listened on."""
        self._server = grpc.aio.server(options=_settings(self.options))
        handlers = {method: self._method(dialect) for method, dialect in _METHODS.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        add = self._server.add_insecure_port
        port = self._server.add_secure_port(address, credentials) if credentials else add(address)
        await self._server.start()
        self.address = address if address.startswith("unix") else f"{address.rpartition(':')[0]}:{port}"
        return self.address

    async def stop(self, grace: float = 5.0) -> None:
        """Refuse new streams, let responses be written, end the streams one after another within half the grace."""
        self._serving = False
        loop, streams = asyncio.get_running_loop(), list(self._all())
        random.shuffle(streams)
        for index, stream in enumerate(streams):
            loop.call_later(grace / 2 * index / len(streams), self._end_when_drained, stream)
        if self._server is not None:
            await self._server.stop(grace)

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one fact it is about
        """Whether new streams are served; without a first complete snapshot they get UNAVAILABLE."""
        self._serving = serving

    def publish(self, group: str, delta: Delta) -> int:
        """Make a delta current for a group and show it to its streams; returns the revision (see `Cache.publish`)."""
        revision = self.cache.publish(group, delta)
        self._show(group)
        return revision

    def clear(self, group: str) -> None:
        """Withdraw the snapshot of a group: its streams stay open and are sent nothing until the next one."""
        self.cache.clear(group)
        if not self._streams.get(group):
            self.cache.drop(group)

    def regroup(self) -> None:
        """The mapping of proxies to groups changed: streams that belong elsewhere now are to reconnect."""
        for stream in self._all():
            node, group = stream.session.node, stream.session.group
            if node is not None and group is not None and self.options.group_of(node) != group.name:
                stream.end(_MOVED)

    def streams(self) -> int:
        """How many streams told who they are and are open."""
        return sum(len(streams) for streams in self._streams.values())

    def _all(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams.values()]

    def _method(self, dialect: Dialect) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def serve(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            await self._serve(dialect, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _serve(self, dialect: Dialect, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        if not self._serving:
            end = _NOT_READY
            await context.abort(end.code, end.details)
        session = Session(dialect, self._group_for(_names(context)), self.options.terms)
        stream = Stream(next(self._numbers), session, self._hooks, self.options.write_timeout)
        try:
            await stream.serve(context)
        finally:
            self._forget(stream)

    def _group_for(self, names: tuple[str, ...]) -> Callable[[Node], Group]:
        """How a peer with these names finds its group: before it is told anything."""

        def find(node: Node) -> Group:
            if not self.options.admits(node, names):
                log.warning("%s of group %s was refused: its certificate names %s", node.id, node.cluster, names)
                raise ForbiddenError
            return self.cache.group(self.options.group_of(node))

        return find

    def _on_event(self, stream: Stream, event: Event) -> None:
        if isinstance(event, Connected):
            self._admit(stream, event)
        self._record(stream.number, event)
        if isinstance(event, Rejected):
            log.warning("%s refused %s %s: %s", _name(stream), event.type_url, event.resources, event.message)

    def _record(self, number: int, event: Event) -> None:
        self.ledger.record(number, event, time.time())
        if self._observe is not None:
            self._observe(number, event)

    def _admit(self, stream: Stream, event: Connected) -> None:
        self._streams[event.group][stream.number] = stream
        same = self._nodes[event.proxy]
        same[stream.number] = stream
        log.info("%s of group %s connected, %d streams", event.proxy, event.group, len(same))
        if len(same) > self.options.streams_per_node:
            stream.end(_TOO_MANY)

    def _on_received(self, stream: Stream) -> None:
        """Once a newer stream of a node id ACKed something, the older ones are over."""
        node = stream.session.node
        if node is None or stream.took_over or not stream.session.accepted:
            return
        stream.took_over = True
        older = [other for number, other in self._nodes.get(node.id, {}).items() if number < stream.number]
        if older and self._may_supersede(node.id):
            for other in older:
                other.end(_SUPERSEDED)
        elif older:
            self._record(stream.number, SharedIdentity(node.id))

    def _may_supersede(self, proxy: str) -> bool:
        now = time.monotonic()
        window = self.options.same_id_window
        self._closed_for_newer = {key: at for key, at in self._closed_for_newer.items() if now - at < window}
        recently = proxy in self._closed_for_newer
        self._closed_for_newer[proxy] = now
        return not recently

    def _forget(self, stream: Stream) -> None:
        node, group = stream.session.node, stream.session.group
        if node is None or group is None:
            return
        _discard(self._nodes, node.id, stream.number)
        _discard(self._streams, group.name, stream.number)
        self._record(stream.number, Disconnected())
        if not group.ready and group.name not in self._streams:
            self.cache.drop(group.name)

    def _end_when_drained(self, stream: Stream) -> None:
        async def end() -> None:
            await stream.drained.wait()
            stream.end(_STOPPING)

        task = asyncio.get_running_loop().create_task(end())
        task.add_done_callback(lambda _: None)

    def _show(self, group: str) -> None:
        """Start a round through the streams of a group; one that is under way is followed by another."""
        running = self._rounds.get(group)
        if running is not None:
            running.again = True
            return
        self._rounds[group] = _Round(list(self._streams.get(group, {}).values()), self.cache.group(group).revision)
        asyncio.get_running_loop().call_soon(self._turn, group)

    def _turn(self, group: str) -> None:
        """Show a few streams what is new, and let the loop breathe."""
        part = self._rounds[group]
        for stream in islice(part.streams, part.done, part.done + _STREAMS_PER_TURN):
            stream.published()
        part.done += _STREAMS_PER_TURN
        if part.done < len(part.streams):
            asyncio.get_running_loop().call_soon(self._turn, group)
            return
        del self._rounds[group]
        self.ledger.published(group, part.revision)
        if part.again:
            self._show(group)


@dataclass(slots=True)
class _Round:
    streams: list[Stream]
    revision: int
    done: int = 0
    again: bool = False


def _discard(index: dict[str, dict[int, Stream]], key: str, number: int) -> None:
    index[key].pop(number, None)
    if not index[key]:
        del index[key]


def _names(context: grpc.aio.ServicerContext[bytes, bytes]) -> tuple[str, ...]:
    """The subject alternative names of the peer's certificate."""
    found = context.auth_context().get("x509_subject_alternative_name", ())
    return tuple(name.decode("utf-8", "replace") for name in found)


def _name(stream: Stream) -> str:
    return stream.session.node.id if stream.session.node else f"stream {stream.number}"


def _on_bug(stream: Stream, error: Exception) -> None:
    log.error("the stream of %s broke", _name(stream), exc_info=error)


def _settings(options: Options) -> list[tuple[str, int]]:
    """Channel arguments; the reasons are measured: storms, flow control and the pings of Envoy's keepalive."""
    age = round(options.max_connection_age_ms * random.uniform(0.9, 1.1))  # noqa: S311 - spreads reconnects, no secret
    return [
        ("grpc.server.max_pending_requests", 1_000_000),
        ("grpc.server.max_pending_requests_hard_limit", 1_000_000),
        ("grpc.server_max_unrequested_time_in_server", 120),
        ("grpc.max_concurrent_streams", 1 << 20),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_connection_age_ms", age),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.so_reuseport", 0),
    ]
