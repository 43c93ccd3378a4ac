"""What does each proxy really hold? The only source of `Programmed`: everything here was said by a proxy.

The ledger is fed with the events of the streams, with the time at which they were seen (seconds of any clock the
reader shares), and with the revisions of the groups once every stream was shown them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from northgate.deliver.events import (
    Acked,
    Connected,
    Disconnected,
    Event,
    Held,
    Progress,
    Rejected,
    Sent,
    SharedIdentity,
    Subscribed,
    Unsubscribed,
)
from northgate.snapshot.resource import CLUSTER, LISTENER, TYPES


class State(Enum):
    """Where a proxy is with one type."""

    SYNCED = "SYNCED"
    PENDING = "PENDING"
    """Something is on its way, and not for long."""
    STALE = "STALE"
    """Something is on its way, or held back, for too long."""
    REJECTED = "REJECTED"
    """It refused something that is still published."""
    NOT_SENT = "NOT SENT"
    NOT_SUBSCRIBED = "-"
    DISCONNECTED = "DISCONNECTED"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A NACK: its resources as far as Envoy named them, and its scrubbed text."""

    type_url: str
    version: str
    resources: tuple[str, ...]
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class TypeReport:
    """One type of one proxy. Versions are empty until there was one."""

    state: State
    acked_version: str = ""
    sent_version: str = ""
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyReport:
    """One proxy. `synced_revision`: everything up to that revision of its group, of the types it asks for, is ACKed."""

    proxy: str
    group: str
    dialect: str
    connected: bool
    since: float
    synced_revision: int
    types: Mapping[str, TypeReport]
    last_rejection: Rejection | None = None
    shares_identity: bool = False


@dataclass(slots=True)
class _Type:
    subscribed: bool = False
    sent: str = ""
    acked: str = ""
    behind: int | None = 0
    behind_since: float | None = None
    rejected: bool = False
    held: dict[str, Held] = field(default_factory=dict)


@dataclass(slots=True)
class _Stream:
    proxy: str
    group: str
    dialect: str
    since: float
    connected: bool = True
    synced: int = 0
    types: dict[str, _Type] = field(default_factory=dict)
    rejection: Rejection | None = None


class Ledger:
    """The books of one server.

    `patience`: seconds after which PENDING is STALE. `memory`: seconds a proxy that left stays listed. `essential`: the
    types a proxy must have asked for before it can be synced with anything.
    """

    def __init__(
        self, patience: float = 15.0, memory: float = 300.0, essential: tuple[str, ...] = (CLUSTER, LISTENER)
    ) -> None:
        self._patience = patience
        self._memory = memory
        self._essential = essential
        self._revisions: dict[str, int] = {}
        self._streams: dict[int, _Stream] = {}
        self._current: dict[str, int] = {}
        self._shared: set[str] = set()

    def published(self, group: str, revision: int) -> None:
        """Every stream of a group was shown a revision."""
        self._revisions[group] = revision

    def record(self, stream: int, event: Event, at: float) -> None:
        """Book one event of a stream. Stream numbers grow: of several streams of a proxy the newest counts."""
        if isinstance(event, Connected):
            self._connect(stream, event, at)
        elif stream in self._streams:
            self._book(stream, self._streams[stream], event, at)

    def _connect(self, stream: int, event: Connected, at: float) -> None:
        before = self._streams.get(self._current.get(event.proxy, -1))
        if before is not None and not before.connected:
            del self._streams[self._current[event.proxy]]
        rejection = before.rejection if before else None
        self._streams[stream] = _Stream(event.proxy, event.group, event.dialect, at, rejection=rejection)
        self._current[event.proxy] = stream

    def _book(self, number: int, stream: _Stream, event: Event, at: float) -> None:
        match event:
            case Connected() | SharedIdentity():
                self._shared.add(stream.proxy)
            case Disconnected():
                self._disconnect(number, stream, at)
            case Held():
                _type(stream, event.type_url).held[event.resource] = event
            case Rejected():
                _type(stream, event.type_url).rejected = True
                stream.rejection = Rejection(event.type_url, event.version, event.resources, event.message, at)
            case Subscribed() | Unsubscribed():
                _type(stream, event.type_url).subscribed = isinstance(event, Subscribed)
            case Sent():
                _type(stream, event.type_url).sent = event.version
            case Acked():
                _type(stream, event.type_url).acked = event.version
            case Progress():
                _progress(_type(stream, event.type_url), event, at)
            case _:
                assert_never(event)

    def _disconnect(self, number: int, stream: _Stream, at: float) -> None:
        stream.synced = self._synced(stream)
        stream.connected, stream.since = False, at
        if self._current.get(stream.proxy) == number:
            others = [key for key, other in self._streams.items() if other.proxy == stream.proxy and other.connected]
            self._current[stream.proxy] = max(others, default=number)
        if self._current[stream.proxy] != number:
            del self._streams[number]

    def expire(self, now: float) -> None:
        """Forget the proxies that left long ago."""
        gone = [proxy for proxy, number in self._current.items() if self._is_forgotten(self._streams[number], now)]
        for proxy in gone:
            del self._streams[self._current.pop(proxy)]
            self._shared.discard(proxy)

    def _is_forgotten(self, stream: _Stream, now: float) -> bool:
        return not stream.connected and now - stream.since >= self._memory

    def proxies(self, group: str, now: float) -> tuple[ProxyReport, ...]:
        """The proxies of a group by node id; those that left are listed for a while."""
        streams = (self._streams[number] for _, number in sorted(self._current.items()))
        return tuple(
            self._report(stream, now)
            for stream in streams
            if stream.group == group and not self._is_forgotten(stream, now)
        )

    def revision(self, group: str) -> int:
        """The newest revision every stream of a group was shown; 0 if none."""
        return self._revisions.get(group, 0)

    def _report(self, stream: _Stream, now: float) -> ProxyReport:
        types = {name: self._type_report(stream, stream.types.get(name, _Type()), now) for name in TYPES}
        synced = self._synced(stream) if stream.connected else stream.synced
        shared = stream.proxy in self._shared
        return ProxyReport(
            stream.proxy,
            stream.group,
            stream.dialect,
            stream.connected,
            stream.since,
            synced,
            types,
            stream.rejection,
            shared,
        )

    def _type_report(self, stream: _Stream, books: _Type, now: float) -> TypeReport:
        state = State.DISCONNECTED if not stream.connected else self._state(books, now)
        return TypeReport(state, books.acked, books.sent, tuple(sorted(books.held)))

    def _state(self, books: _Type, now: float) -> State:
        if not books.subscribed:
            return State.NOT_SUBSCRIBED
        if books.behind is None:
            return State.SYNCED
        if books.rejected:
            return State.REJECTED
        if not (books.sent or books.acked):
            return State.NOT_SENT
        late = books.behind_since is not None and now - books.behind_since >= self._patience
        return State.STALE if late else State.PENDING

    def _synced(self, stream: _Stream) -> int:
        subscribed = {name: books for name, books in stream.types.items() if books.subscribed}
        if not all(name in subscribed for name in self._essential):
            return 0
        latest = self.revision(stream.group)
        return max(0, min((_reached(books, latest) for books in subscribed.values()), default=0))


def _type(stream: _Stream, type_url: str) -> _Type:
    return stream.types.setdefault(type_url, _Type())


def _progress(books: _Type, event: Progress, at: float) -> None:
    if event.behind is None:
        books.behind_since, books.rejected = None, False
        books.held.clear()
    elif books.behind is None or books.behind_since is None or event.behind > books.behind:
        books.behind_since = at
    books.behind = event.behind


def _reached(books: _Type, latest: int) -> int:
    return latest if books.behind is None else min(books.behind - 1, latest)
