"""One stream of one proxy, without I/O: requests, publications, time in; responses, events, a deadline out.

Rules of this file:

- A type has at most one response in flight; what changes meanwhile waits for the ACK or NACK.
- Each input ends in one pass over the types in the order of additions, so endpoints go right behind their clusters.
- Nothing the proxy refused is sent again in the same form: a known culprit not at all, unknown ones in smaller parts.
- `receive`, `published` and `tick` return an Output; the caller writes its responses in order, passes its events on
  and calls `tick` at its deadline. After a refusal the stream is to be ended and the session must not be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from northgate.deliver import order
from northgate.deliver.events import Acked, Connected, Event, Progress, Rejected, Sent, Subscribed, Unsubscribed
from northgate.deliver.order import Gates
from northgate.snapshot.resource import CLUSTER, ENDPOINT
from northgate.xds import clusters, intake, refusal
from northgate.xds.answer import Author, Choice
from northgate.xds.cache import Group
from northgate.xds.catalog import Body, Catalog
from northgate.xds.choose import Moment
from northgate.xds.clusters import Warming
from northgate.xds.request import Dialect, MalformedError, Node, Request, parse
from northgate.xds.subscription import Flight, Gap, Subscription


@dataclass(frozen=True, slots=True)
class Terms:
    """What all streams of a server share. `limit`: bytes after which a response is split where the protocol lets it."""

    gates: Gates = field(default_factory=Gates)
    limit: int = 4_000_000
    identifier: str = "northgate"


@dataclass(frozen=True, slots=True)
class Output:
    """What is to be done now: responses to write, events to record, when to tick, and why to end the stream."""

    responses: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()
    deadline: float | None = None
    refusal: str | None = None


class Session:
    """The state of one stream. `group_of` finds the group of the proxy that opened it."""

    def __init__(self, dialect: Dialect, group_of: Callable[[Node], Group], terms: Terms | None = None) -> None:
        self.dialect = dialect
        self.node: Node | None = None
        self.group: Group | None = None
        self.accepted = False
        self._group_of = group_of
        self._terms = terms or Terms()
        self._author = Author(self._terms.identifier)
        self._subs: dict[str, Subscription] = {}
        self._warming: dict[str, Warming] = {}
        self._serials = count(1)
        self._responses: list[bytes] = []
        self._events: list[Event] = []

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """What the proxy asks for, by type URL, in the order of additions."""
        return self._subs

    def receive(self, data: bytes, now: float) -> Output:
        """A request came."""
        try:
            request = parse(self.dialect, data)
        except MalformedError as error:
            return Output(refusal=str(error))
        if self.node is None:
            if request.node is None or not request.node.id:
                return Output(refusal="the first request of a stream carries a node with an id")
            self._introduce(request.node)
        self._take(request)
        return self._flush(now)

    def published(self, now: float) -> Output:
        """The group of this stream may have a new revision."""
        return self._flush(now)

    def tick(self, now: float) -> Output:
        """The deadline of the last output came."""
        return self._flush(now)

    def _introduce(self, node: Node) -> None:
        self.node = node
        self.group = self._group_of(node)
        self._events.append(Connected(node.id, self.group.name, self.dialect.value))

    def _take(self, request: Request) -> None:
        sub = self._subs.get(request.type_url)
        if sub is None:
            self._open(request)
        elif self.dialect is Dialect.DELTA:
            self._acknowledge(sub, request)
            if request.unsubscribe:
                refusal.itemise(sub, self._catalog(sub))
            intake.next_delta(sub, request, self._catalog(sub), self._since(sub))
        elif request.nonce == sub.nonce:
            # Any other nonce is stale: the client will repeat what it wants.
            self._take_state(sub, request)

    def _take_state(self, sub: Subscription, request: Request) -> None:
        if intake.repeats_its_question(sub, request):
            sub.fresh = sub.wanted
            return
        self._acknowledge(sub, request)
        intake.next_state(sub, request, self._since(sub))

    def _open(self, request: Request) -> None:
        """The first request for a type; one with a nonce answers a response of another type, and asks for nothing."""
        if request.nonce and not request.subscribe:
            return
        sub = Subscription(request.type_url, self.dialect)
        first = intake.first_state if self.dialect is Dialect.STATE else intake.first_delta
        first(sub, request)
        self._subs[request.type_url] = sub
        self._subs = dict(sorted(self._subs.items(), key=lambda item: order.rank(item[0])))

    def _acknowledge(self, sub: Subscription, request: Request) -> None:
        flight = sub.flight
        if flight is None or not request.nonce or request.nonce != flight.nonce:
            return
        self.accepted = True
        self._doubt(sub, refused=request.error is not None)
        if request.error is not None:
            self._reject(sub, flight, request.error)
            return
        sub.acknowledge()
        self._events.append(Acked(sub.type_url, flight.version))
        if sub.type_url == ENDPOINT:
            self._end_warming(flight)

    def _doubt(self, sub: Subscription, *, refused: bool) -> None:
        if self.group is not None and self.node is not None:
            change = self.group.doubted.add if refused else self.group.doubted.discard
            change((sub.type_url, self.node.id))

    def _reject(self, sub: Subscription, flight: Flight, error: str) -> None:
        catalog = self._catalog(sub)
        if catalog is None:
            return
        told = refusal.reopen(sub, catalog, flight, error)
        self._events.append(Rejected(sub.type_url, flight.version, flight.nonce, told.culprits, told.message))

    def _end_warming(self, flight: Flight) -> None:
        published = self.group.catalog(CLUSTER) if self.group else None
        if published is not None and self._warming:
            for name in clusters.warmed(self._warming, published, flight.gaps, flight.serial):
                del self._warming[name]

    def _catalog(self, sub: Subscription) -> Catalog | None:
        return self.group.catalog(sub.type_url) if self.group else None

    def _since(self, sub: Subscription) -> int:
        """The revision a new question belongs to: for assignments, that of the clusters that made the proxy ask."""
        revision = self.group.revision if self.group else 0
        if sub.type_url != ENDPOINT:
            return revision
        return min((warming.since for warming in self._warming.values()), default=revision)

    def _flush(self, now: float) -> Output:
        wake: list[float] = []
        if self.group is not None and self.group.ready:
            self._cool(now)
            moment = Moment(self.group, self._subs, self._warming, self._terms.gates, self._terms.limit, now)
            for sub in self._subs.values():
                self._catch_up(sub)
            for sub in self._subs.values():
                self._answer(sub, moment)
            self._events += moment.events
            wake = moment.wake + [warming.until for warming in self._warming.values()]
        self._report()
        output = Output(tuple(self._responses), tuple(self._events), min(wake, default=None))
        self._responses, self._events = [], []
        return output

    def _cool(self, now: float) -> None:
        """Stop waiting for endpoints that did not come in time."""
        for name in [name for name, warming in self._warming.items() if warming.until <= now]:
            del self._warming[name]

    def _catch_up(self, sub: Subscription) -> None:
        catalog = self._catalog(sub)
        if catalog is None:
            return
        if sub.claim is not None:
            self._resume(sub, catalog, sub.claim)
        sub.follow(catalog)

    def _resume(self, sub: Subscription, catalog: Catalog, claim: Request) -> None:
        if not intake.resume(sub, catalog, self._vouched(sub)):
            return
        if self.group is not None and self.node is not None and (sub.type_url, self.node.id) in self.group.doubted:
            sub.owed = True
        else:
            self._events.append(Acked(sub.type_url, claim.version))

    def _vouched(self, sub: Subscription) -> Callable[[str], bool]:
        """Of an assignment: whether every cluster that uses it is known to be the present one in the proxy."""
        if sub.type_url != ENDPOINT:
            return lambda _: True
        published, asker = self.group.catalog(CLUSTER) if self.group else None, self._subs.get(CLUSTER)
        if published is None or asker is None or asker.everything_in_doubt:
            return lambda _: False
        unsure = {*asker.gaps, *((asker.flight.gaps or ()) if asker.flight else ()), *self._warming}

        def vouched(name: str) -> bool:
            users = published.users.get(name, ())
            return bool(users) and all(user not in unsure for user in users)

        return vouched

    def _answer(self, sub: Subscription, moment: Moment) -> None:
        catalog = self._catalog(sub)
        if catalog is None or sub.flight is not None or not sub.wanted or not (sub.fresh or sub.gaps or sub.owed):
            return
        if sub.fresh and moment.everything_may_go(sub, catalog):
            self._send_everything(sub, catalog)
            return
        if sub.fresh:
            sub.expand(catalog)
        choice = moment.choose(sub, catalog)
        if choice or (sub.owed and not sub.gaps):
            self._send_chosen(sub, catalog, choice, moment.now)

    def _send_everything(self, sub: Subscription, catalog: Catalog) -> None:
        if sub.complete and catalog.version == sub.refused:
            return
        sub.fresh = False
        body = self._author.whole(sub, catalog)
        if body is None:
            return
        self._send(sub, body, catalog.version, None)
        endpoints = self._subs.get(ENDPOINT)
        if sub.type_url == CLUSTER and endpoints is not None:
            # Any of the clusters may have changed, and each that did warms until its endpoints come again.
            endpoints.fresh = endpoints.wanted

    def _send_chosen(self, sub: Subscription, catalog: Catalog, choice: Choice, now: float) -> None:
        version = self._author.version(sub, catalog, choice)
        if sub.complete and version == sub.refused:
            return
        body = self._author.chosen(sub, catalog, choice)
        flight = self._send(sub, body, version, choice)
        flight.gaps = {name: (sub.gaps.pop(name), catalog.entries.get(name)) for name in choice.names}
        for name in choice.adds:
            if (retired := catalog.retired(name)) is not None:
                flight.gaps[name] = (flight.gaps[name][0], retired)
                sub.gaps[name] = Gap(retired, flight.gaps[name][0].since, retiring=True)
        if sub.type_url == CLUSTER:
            self._start_warming(flight, now)

    def _start_warming(self, flight: Flight, now: float) -> None:
        endpoints, until = self._subs.get(ENDPOINT), now + self._terms.gates.ack
        sent = [(gap, entry) for gap, entry in (flight.gaps or {}).values() if entry is not None and entry.depends]
        for gap, entry in sent:
            self._warming[entry.name] = Warming(flight.serial, gap.since, until)
        for name in (name for name, (_, entry) in (flight.gaps or {}).items() if entry is None):
            self._warming.pop(name, None)
        published = self._catalog(endpoints) if endpoints else None
        if endpoints is not None and published is not None:
            for name in clusters.endpoints_to_repeat((entry for _, entry in sent), endpoints):
                endpoints.force(name, published.entries.get(name), published.head.revision)

    def _send(self, sub: Subscription, body: Body, version: str, choice: Choice | None) -> Flight:
        sub.owed = False
        fresh_nonce = body.id > sub.last_body
        sub.renonced += not fresh_nonce
        sub.nonce = f"{body.id:x}" if fresh_nonce else f"{body.id:x}.{sub.renonced}"
        sub.last_body = max(body.id, sub.last_body)
        self._responses.append(body.data if fresh_nonce else body.renonced(sub.nonce))
        self._events.append(Sent(sub.type_url, version))
        sub.flight = Flight(sub.nonce, version, next(self._serials), {} if choice is not None else None)
        return sub.flight

    def _report(self) -> None:
        """Tell of every type whether it got nearer to, or further from, what is published."""
        for sub in self._subs.values():
            behind = sub.first_missing()
            if sub.type_url == CLUSTER and self._warming:
                behind = min(warming.since for warming in self._warming.values()) if behind is None else behind
            if behind != sub.behind:
                self._events.append(Progress(sub.type_url, behind))
                sub.behind = behind
            if sub.wanted != sub.told_wanted:
                self._events.append(Subscribed(sub.type_url) if sub.wanted else Unsubscribed(sub.type_url))
                sub.told_wanted = sub.wanted
