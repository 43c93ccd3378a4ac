"""Whatever happens in whatever order, proxies of both dialects end with what is published, and no rule is broken."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.xds import worlds
from tests.xds.proxies import GROUP, Proxy

from northgate.deliver.order import Gates
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from northgate.xds.cache import Cache
from northgate.xds.request import Dialect
from northgate.xds.session import Terms

GATES = Gates(ack=15.0, grace=5.0)
CLUSTERS = ("c0", "c1", "c2", "c3")
ROUTES = ("r0", "r1", "r2")
LISTENERS = ("l0", "l1")
salts = st.sampled_from(("", "1", "2", "3"))


@st.composite
def closed_worlds(draw: st.DrawFn, *, bad: bool = False) -> worlds.World:
    clusters = draw(st.frozensets(st.sampled_from(CLUSTERS)))
    routes = draw(st.frozensets(st.sampled_from(ROUTES)))
    some = st.frozensets(st.sampled_from(sorted(clusters))) if clusters else st.just(frozenset())
    content = st.sampled_from(("", "1", "2", worlds.BAD)) if bad else salts
    resources = [worlds.cluster(name, draw(content)) for name in sorted(clusters)]
    resources += [worlds.assignment(name, draw(salts)) for name in sorted(clusters)]
    resources += [worlds.route(name, sorted(draw(some)), draw(content)) for name in sorted(routes)]
    pick = st.frozensets(st.sampled_from(sorted(routes))) if routes else st.just(frozenset())
    for name in sorted(draw(st.frozensets(st.sampled_from(LISTENERS)))):
        resources.append(worlds.listener(name, draw(pick), sorted(draw(some)), draw(content)))
    return worlds.world(*resources)


class Delivery(RuleBasedStateMachine):
    """One control plane, a State-of-the-World and a delta proxy that name culprits, and a delta proxy that does not."""

    bad = False

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.cache = Cache()
        self.world: worlds.World = {}
        terms = Terms(GATES, limit=600)
        self.proxies = [
            Proxy(self.cache, Dialect.STATE, terms, "s"),
            Proxy(self.cache, Dialect.DELTA, terms, "d"),
            Proxy(self.cache, Dialect.DELTA, terms, "quiet", names_culprits=False),
        ]

    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        world = data.draw(closed_worlds(bad=self.bad))
        self.cache.publish(GROUP, worlds.change(self.world, world))
        self.world = world
        for proxy in self.proxies:
            proxy.take(proxy.session.published(self.now))

    @rule()
    def clear(self) -> None:
        self.cache.clear(GROUP)
        self.world = {}

    @rule(which=st.integers(0, 2))
    def serve(self, which: int) -> None:
        if self.proxies[which].outbox:
            self.proxies[which].serve_one(self.now)

    @rule(which=st.integers(0, 2))
    def apply(self, which: int) -> None:
        if self.proxies[which].inbox:
            self.proxies[which].apply_one()

    @rule(which=st.integers(0, 2), steps=st.integers(1, 8))
    def work(self, which: int, steps: int) -> None:
        for _ in range(steps):
            self.apply(which)
            self.serve(which)

    @rule(which=st.integers(0, 2))
    def reconnect(self, which: int) -> None:
        self.proxies[which].open()

    @rule(seconds=st.sampled_from((0.1, 1.0, 4.9, 5.1, 16.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for proxy in self.proxies:
            due = proxy.deadline is not None and proxy.deadline <= self.now
            output = proxy.session.tick(self.now)
            assert due or not output.responses, "(i) time alone made a response before its deadline"
            proxy.take(output)

    @rule()
    def settle(self) -> None:
        if not self.cache.group(GROUP).ready:
            return
        for proxy in self.proxies:
            self._settle(proxy)
            self._check(proxy)

    def _settle(self, proxy: Proxy) -> None:
        for _ in range(2000):
            self._exchange(proxy)
            if proxy.withheld and not self.bad:
                raise AssertionError(f"item 53: warming without end: {proxy.withheld}")
            if proxy.withheld:
                proxy.give_up_warming()
            elif proxy.deadline is not None:
                self.now = max(self.now, proxy.deadline)
                proxy.take(proxy.session.tick(self.now))
            else:
                return
        raise AssertionError("it never comes to rest")

    def _exchange(self, proxy: Proxy) -> None:
        for _ in range(2000):
            if proxy.inbox:
                proxy.apply_one()
            elif proxy.outbox:
                proxy.serve_one(self.now)
            else:
                return
        raise AssertionError("they never stop talking")

    def _check(self, proxy: Proxy) -> None:
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            published = self.world.get(type_url, {})
            state = proxy.types.get(type_url)
            if state is None:
                continue
            for name in state.names:
                assert proxy.dialect is Dialect.STATE or name in state.answered or name in state.held, f"(c) {name}"
            wanted = {n: one.version for n, one in published.items() if state.wildcard or n in state.names}
            held = {n: one.version for n, one in state.held.items() if n in wanted or state.wildcard}
            assert held == wanted, f"(d) {proxy.name} {type_url}"
        session = proxy.session
        assert all(sub.idle for sub in session.subscriptions.values()), "(j) something stayed behind"
        assert not session.tick(self.now + 100.0).responses

    @invariant()
    def nothing_grows(self) -> None:
        for proxy in getattr(self, "proxies", ()):
            assert len(proxy.inbox) <= len(proxy.types)


class Refusal(Delivery):
    """The same with content that proxies refuse."""

    bad = True

    def _check(self, proxy: Proxy) -> None:
        """What is not refused, and does not depend on what is, arrived."""
        bad = {name for name, one in self.world.get(CLUSTER, {}).items() if _is_bad(one)}
        for type_url, state in proxy.types.items():
            if proxy.returned and proxy.dialect is Dialect.STATE:
                # Nothing may be left out of the set of a proxy that came back with unknown content.
                continue
            for name, one in self.world.get(type_url, {}).items():
                good = not (_is_bad(one) or (type_url in (LISTENER, ROUTE) and one.depends & bad))
                if good and (state.wildcard or name in state.names):
                    assert name in state.held, f"(d) {proxy.name} {name}"
                    assert state.held[name].version == one.version, f"(d) {proxy.name} {name}"
        assert not proxy.session.tick(self.now + 100.0).responses


def _is_bad(resource: Resource) -> bool:
    return worlds.salt_of(resource.type_url, worlds.MESSAGES[resource.type_url].FromString(resource.body)) == worlds.BAD


TestDelivery = Delivery.TestCase
TestRefusal = Refusal.TestCase
TestDelivery.settings = TestRefusal.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
