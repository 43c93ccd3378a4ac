"""Model proxies: what an Envoy does with responses, and the rules of the protocol it holds the server to."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from tests.xds import worlds

from northgate.deliver.events import Event
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, content_version
from northgate.xds.cache import Cache
from northgate.xds.request import Dialect
from northgate.xds.session import Output, Session, Terms

GROUP = "pop/edge"
_NAMING = {CLUSTER: "Error adding/updating cluster(s) ", LISTENER: "Error adding/updating listener(s) "}


@dataclass(slots=True)
class Held:
    version: str
    message: Any


@dataclass(slots=True)
class TypeState:
    wildcard: bool = False
    names: frozenset[str] = frozenset()
    held: dict[str, Held] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    version: str = ""
    nonce: str = ""
    answered: set[str] = field(default_factory=set)
    asked_again: set[str] = field(default_factory=set)
    refused: list[frozenset[tuple[str, str]]] = field(default_factory=list)
    culprits: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response in the words of both dialects. `resources`: name to (version, message)."""

    type_url: str
    nonce: str
    version: str
    resources: dict[str, tuple[str, Any]]
    removed: tuple[str, ...] = ()


class Proxy:
    """An Envoy-like client of one session: clusters and listeners by wildcard, the rest by the names those mention."""

    def __init__(
        self, cache: Cache, dialect: Dialect, terms: Terms, name: str = "envoy", *, names_culprits: bool = True
    ) -> None:
        self.cache, self.dialect, self.terms, self.name = cache, dialect, terms, name
        self.names_culprits = names_culprits
        self.types: dict[str, TypeState] = {}
        self.known: dict[str, TypeState] = {}
        self.events: list[Event] = []
        self.withheld: list[tuple[Any, frozenset[str]]] = []
        self.open()

    # --- the wire ---

    def open(self) -> None:
        """A new stream; the versions of what is held go along with the first requests."""
        self.session = Session(self.dialect, lambda node: self.cache.group(node.cluster), self.terms)
        self.inbox: deque[bytes] = deque()
        self.outbox: deque[bytes] = deque()
        self.introduced = False
        self.deadline: float | None = None
        self.unanswered: Counter[str] = Counter()
        self.nonces: set[tuple[str, str]] = set()
        self.ungated: set[str] = set()
        self.first_clusters = self.returned = bool(self.types)
        self.known, self.types = {**self.known, **self.types}, {}
        # While a cluster warms, Envoy does not ask for clusters (E4).
        clusters = () if self.withheld else (CLUSTER,)
        for type_url in (*clusters, *([ENDPOINT] if self.names_wanted(ENDPOINT) else []), LISTENER):
            self.ask(type_url)
        if self.names_wanted(ROUTE):
            self.ask(ROUTE)

    def state(self, type_url: str) -> TypeState:
        return self.types.get(type_url) or self.known.get(type_url) or TypeState()

    def names_wanted(self, type_url: str) -> frozenset[str]:
        if type_url == ENDPOINT:
            return frozenset(held.message.eds_cluster_config.service_name for held in self.state(CLUSTER).held.values())
        if type_url == ROUTE:
            return frozenset(
                name for held in self.state(LISTENER).held.values() for name in worlds.routes_of(held.message)
            )
        return frozenset()

    def ask(self, type_url: str) -> None:
        """Ask for what is wanted now, if that differs from what was asked for."""
        first = type_url not in self.types
        old = self.known.pop(type_url, None)
        state = self.types.setdefault(type_url, TypeState(type_url in (CLUSTER, LISTENER)))
        names = self.names_wanted(type_url)
        added, dropped = names - state.names, state.names - names
        if first and old is not None:
            state.held, state.version, state.acked = old.held, old.version, set(old.held)
        if not (first or added or dropped):
            return
        state.names = names
        state.asked_again |= added
        state.answered -= dropped
        for name in [name for name in state.held if not state.wildcard and name not in names]:
            del state.held[name]
        if self.dialect is Dialect.STATE:
            self.send(
                DiscoveryRequest(
                    type_url=type_url,
                    resource_names=sorted(names),
                    version_info=state.version,
                    response_nonce=state.nonce,
                )
            )
        else:
            versions = {name: held.version for name, held in state.held.items()} if first else {}
            self.send(
                DeltaDiscoveryRequest(
                    type_url=type_url,
                    resource_names_subscribe=sorted(added),
                    resource_names_unsubscribe=sorted(dropped),
                    initial_resource_versions=versions,
                )
            )

    def send(self, request: Any) -> None:
        if not self.introduced:
            request.node.id, request.node.cluster, request.node.user_agent_name = self.name, GROUP, "envoy"
            self.introduced = True
        self.outbox.append(request.SerializeToString())

    def reply(self, answer: Answer, error: str | None = None) -> None:
        state = self.types[answer.type_url]
        state.nonce = answer.nonce
        if error is None:
            state.version = answer.version
        if self.dialect is Dialect.STATE:
            request: Any = DiscoveryRequest(
                type_url=answer.type_url,
                resource_names=sorted(state.names),
                version_info=state.version,
                response_nonce=answer.nonce,
            )
        else:
            request = DeltaDiscoveryRequest(type_url=answer.type_url, response_nonce=answer.nonce)
        if error is not None:
            request.error_detail.code, request.error_detail.message = 13, error
        self.send(request)

    # --- the server's side ---

    def take(self, output: Output) -> None:
        assert output.refusal is None
        self.deadline = output.deadline
        self.events.extend(output.events)
        for response in output.responses:
            answer = self.read(response)
            assert answer.type_url in self.types, "(g) a type nobody asked for"
            assert (answer.type_url, answer.nonce) not in self.nonces, "(f) a nonce was used twice"
            self.nonces.add((answer.type_url, answer.nonce))
            if CLUSTER not in self.session.subscriptions:
                self.ungated.add(answer.nonce)
            self.unanswered[answer.type_url] += 1
            assert self.unanswered[answer.type_url] == 1, "(b) two responses of one type in flight"
            self.inbox.append(response)

    def serve_one(self, now: float) -> None:
        """The server takes the oldest request."""
        data = self.outbox.popleft()
        request: Any = (DiscoveryRequest if self.dialect is Dialect.STATE else DeltaDiscoveryRequest).FromString(data)
        before = self.session.subscriptions.get(request.type_url)
        if before is not None and before.flight is not None and before.flight.nonce == request.response_nonce:
            self.unanswered[request.type_url] -= 1
            if not request.HasField("error_detail"):
                state = self.types[request.type_url]
                state.acked = set(state.held)
        self.take(self.session.receive(data, now))

    def read(self, data: bytes) -> Answer:
        resources: dict[str, tuple[str, Any]] = {}
        if self.dialect is Dialect.DELTA:
            delta = DeltaDiscoveryResponse.FromString(data)
            for one in delta.resources:
                assert one.name not in resources, "item 7: a name twice"
                assert one.resource.type_url == delta.type_url
                resources[one.name] = (one.version, worlds.MESSAGES[delta.type_url].FromString(one.resource.value))
            assert not set(delta.removed_resources) & resources.keys()
            return Answer(
                delta.type_url, delta.nonce, delta.system_version_info, resources, tuple(delta.removed_resources)
            )
        response = DiscoveryResponse.FromString(data)
        for packed in response.resources:
            assert packed.type_url == response.type_url
            message = worlds.MESSAGES[response.type_url].FromString(packed.value)
            name = message.cluster_name if response.type_url == ENDPOINT else message.name
            assert name not in resources, "item 7: a name twice"
            resources[name] = (content_version(response.type_url.encode(), packed.value), message)
        return Answer(response.type_url, response.nonce, response.version_info, resources)

    # --- the proxy's side ---

    def apply_one(self) -> None:
        """The proxy takes the oldest response: applies it or parts of it, asks what follows from it, and replies."""
        answer = self.read(self.inbox.popleft())
        state = self.types[answer.type_url]
        self._check_repetition(answer, state)
        bad = {
            name
            for name, (_, message) in answer.resources.items()
            if worlds.salt_of(answer.type_url, message) == worlds.BAD
        }
        changed = {
            n
            for n, (v, _) in answer.resources.items()
            if n not in bad and (n not in state.held or state.held[n].version != v)
        }
        if not bad or self.names_culprits:
            self._apply(answer, state, bad)
        state.answered |= set(answer.resources) | set(answer.removed)
        state.asked_again -= set(answer.resources) | set(answer.removed)
        if answer.type_url == ENDPOINT:
            self._release(frozenset(answer.resources) | frozenset(answer.removed))
        self._follow(answer.type_url)
        if bad:
            self._refuse(answer, state, bad)
        elif answer.type_url == CLUSTER and changed:
            needed = frozenset(answer.resources[name][1].eds_cluster_config.service_name for name in changed)
            self.withheld.append((answer, needed))
        else:
            self.reply(answer)

    def _check_repetition(self, answer: Answer, state: TypeState) -> None:
        content = {(name, version) for name, (version, _) in answer.resources.items()}
        assert not content & state.culprits or self._whole(answer), "(a) a known culprit came again"
        assert frozenset(content) not in state.refused, "(a) a refused response came again unchanged"

    def _whole(self, answer: Answer) -> bool:
        """Leaving a culprit out of a set would delete what a proxy that came back may still run under its name."""
        return self.dialect is Dialect.STATE and answer.type_url in (CLUSTER, LISTENER) and self.returned

    def _apply(self, answer: Answer, state: TypeState, bad: set[str]) -> None:
        removed = set(answer.removed)
        if self.dialect is Dialect.STATE and answer.type_url in (CLUSTER, LISTENER):
            removed = set(state.held) - set(answer.resources)
        else:
            for name in answer.removed:
                crossed = not state.wildcard and name not in state.names
                # A refused response may have been applied in part.
                maybe = any(name == refused for content in state.refused for refused, _ in content)
                due = name in state.held or name in state.asked_again or crossed or maybe
                assert due, "(e) a removal of what is not held"
        if answer.type_url == CLUSTER:
            self._check_unused(removed)
        for name in removed:
            state.held.pop(name, None)
        for name, (version, message) in answer.resources.items():
            if name not in bad and (state.wildcard or name in state.names):
                # A proxy that came back and did not ask for clusters within the gate time-out is served all the same.
                news = name not in state.held or state.held[name].version != version
                if news and answer.nonce not in self.ungated:
                    self._check_clusters(answer.type_url, name, message)
                state.held[name] = Held(version, message)

    def _check_clusters(self, type_url: str, name: str, message: Any) -> None:
        clusters = self.state(CLUSTER)
        lacking = worlds.used_by(type_url, message) - set(clusters.held)
        assert not lacking, f"(h) {name} came before its clusters {lacking}"
        unacked = worlds.used_by(type_url, message) - clusters.acked
        assert not unacked, f"(h) {name} came before the ACK of {unacked}"

    def _check_unused(self, removed: set[str]) -> None:
        if self.dialect is Dialect.STATE and self.first_clusters:
            # The difference to what an earlier stream held is unknown, unless its version is.
            self.first_clusters = False
            return
        told = [type_url for type_url in (LISTENER, ROUTE) if type_url in self.session.subscriptions]
        for type_url in told:
            for name, held in self.state(type_url).held.items():
                used = worlds.used_by(type_url, held.message) & removed
                assert not used, f"(h) {used} went while {name} uses it"

    def _refuse(self, answer: Answer, state: TypeState, bad: set[str]) -> None:
        content = frozenset((name, version) for name, (version, _) in answer.resources.items())
        state.refused.append(content)
        naming = _NAMING.get(answer.type_url) if self.names_culprits else None
        if naming or len(answer.resources) == 1:
            state.culprits |= {(name, answer.resources[name][0]) for name in bad}
        text = (
            naming + ", ".join(f"{name}: no" for name in sorted(bad))
            if naming
            else "Proto constraint validation failed"
        )
        self.reply(answer, text)

    def _release(self, names: frozenset[str]) -> None:
        """Endpoints came: clusters that warmed for them are ACKed."""
        waiting, self.withheld = self.withheld, []
        for answer, needed in waiting:
            if needed - names:
                self.withheld.append((answer, needed - names))
            else:
                self._warmed(answer)

    def give_up_warming(self) -> None:
        """As Envoy does when `initial_fetch_timeout` ends."""
        waiting, self.withheld = self.withheld, []
        for answer, _ in waiting:
            self._warmed(answer)

    def _warmed(self, answer: Answer) -> None:
        if CLUSTER in self.types:
            self.reply(answer)
        else:
            self.known[CLUSTER].version = answer.version
            self.ask(CLUSTER)

    def _follow(self, type_url: str) -> None:
        follower = {CLUSTER: ENDPOINT, LISTENER: ROUTE}.get(type_url)
        if follower and (self.names_wanted(follower) or follower in self.types):
            self.ask(follower)

    def busy(self) -> bool:
        return bool(self.inbox or self.outbox)
