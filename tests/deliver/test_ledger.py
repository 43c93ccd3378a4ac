"""The ledger tells what proxies said, and nothing they did not say."""

from __future__ import annotations

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
)
from northgate.deliver.ledger import Ledger, ProxyReport, State
from northgate.snapshot.resource import CLUSTER, LISTENER, ROUTE

GROUP = "pop/edge"


def book(ledger: Ledger, *events: Event, stream: int = 1, at: float = 0.0) -> None:
    for event in events:
        ledger.record(stream, event, at)


def subscribed(type_url: str, behind: int | None) -> tuple[Event, ...]:
    return (Subscribed(type_url), Sent(type_url, "v"), Progress(type_url, behind))


def connected(ledger: Ledger, proxy: str = "p", stream: int = 1) -> None:
    book(ledger, Connected(proxy, GROUP, "delta"), stream=stream)


def only(ledger: Ledger, now: float = 0.0) -> ProxyReport:
    (report,) = ledger.proxies(GROUP, now)
    return report


def test_a_type_goes_through_its_states() -> None:
    ledger = Ledger(patience=15.0)
    connected(ledger)
    assert only(ledger).types[CLUSTER].state is State.NOT_SUBSCRIBED
    book(ledger, Subscribed(CLUSTER), Progress(CLUSTER, 0))
    assert only(ledger).types[CLUSTER].state is State.NOT_SENT
    book(ledger, Sent(CLUSTER, "v1"))
    assert only(ledger, 14.0).types[CLUSTER].state is State.PENDING
    assert only(ledger, 15.0).types[CLUSTER].state is State.STALE
    book(ledger, Acked(CLUSTER, "v1"), Progress(CLUSTER, None))
    assert only(ledger).types[CLUSTER].state is State.SYNCED
    assert only(ledger).types[CLUSTER].acked_version == "v1"
    book(ledger, Progress(CLUSTER, 2), Rejected(CLUSTER, "v2", "n", ("bad",), "no"), at=7.0)
    assert only(ledger).types[CLUSTER].state is State.REJECTED
    assert only(ledger).last_rejection is not None
    assert only(ledger).types[CLUSTER].acked_version == "v1"


def test_a_refused_type_is_synced_again_only_when_nothing_is_missing() -> None:
    ledger = Ledger()
    connected(ledger)
    book(ledger, *subscribed(LISTENER, 3), Rejected(LISTENER, "v", "n", ("bad",), "no"), Acked(LISTENER, "good"))
    assert only(ledger).types[LISTENER].state is State.REJECTED
    book(ledger, Progress(LISTENER, None))
    assert only(ledger).types[LISTENER].state is State.SYNCED


def test_synced_revision_is_the_least_of_all_types() -> None:
    ledger = Ledger()
    connected(ledger)
    ledger.published(GROUP, 7)
    book(ledger, *subscribed(CLUSTER, None))
    assert only(ledger).synced_revision == 0, "it did not ask for listeners yet"
    book(ledger, *subscribed(LISTENER, None), *subscribed(ROUTE, 5))
    assert only(ledger).synced_revision == 4
    book(ledger, Progress(ROUTE, None))
    assert only(ledger).synced_revision == 7


def test_a_revision_counts_only_once_all_streams_were_shown_it() -> None:
    ledger = Ledger()
    connected(ledger)
    book(ledger, *subscribed(CLUSTER, None), *subscribed(LISTENER, None))
    ledger.published(GROUP, 1)
    assert (only(ledger).synced_revision, ledger.revision(GROUP)) == (1, 1)


def test_a_proxy_that_left_is_listed_for_a_while_with_what_it_had() -> None:
    ledger = Ledger(memory=60.0)
    connected(ledger)
    ledger.published(GROUP, 3)
    book(ledger, *subscribed(CLUSTER, None), *subscribed(LISTENER, None))
    book(ledger, Disconnected(), at=100.0)
    ledger.published(GROUP, 9)
    report = only(ledger, 159.0)
    assert (report.connected, report.synced_revision) == (False, 3)
    assert report.types[CLUSTER].state is State.DISCONNECTED
    assert ledger.proxies(GROUP, 160.0) == ()
    ledger.expire(160.0)
    assert ledger._streams == {}


def test_of_several_streams_the_newest_counts_until_it_ends() -> None:
    ledger = Ledger()
    connected(ledger, stream=1)
    connected(ledger, stream=2)
    book(ledger, Subscribed(CLUSTER), Progress(CLUSTER, None), stream=1)
    assert only(ledger).types[CLUSTER].state is State.NOT_SUBSCRIBED
    book(ledger, Disconnected(), stream=2)
    assert only(ledger).types[CLUSTER].state is State.SYNCED
    book(ledger, Disconnected(), stream=1)
    connected(ledger, stream=3)
    assert only(ledger).connected
    assert len(ledger._streams) == 1


def test_held_resources_and_shared_identities_are_told() -> None:
    ledger = Ledger()
    connected(ledger)
    book(ledger, *subscribed(ROUTE, 1), Held(ROUTE, "r", ("c",)), SharedIdentity("p"))
    assert only(ledger).types[ROUTE].held == ("r",)
    assert only(ledger).shares_identity
    book(ledger, Progress(ROUTE, None))
    assert only(ledger).types[ROUTE].held == ()


def test_groups_are_told_apart() -> None:
    ledger = Ledger()
    connected(ledger)
    assert ledger.proxies("other/edge", 0.0) == ()
