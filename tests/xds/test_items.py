"""The protocol checklist, item by item, on sessions without any I/O."""

from __future__ import annotations

from typing import Any

import pytest
from tests.xds import worlds
from tests.xds.streams import GROUP, Wire
from tests.xds.worlds import assignment, cluster, listener, route, secret

from northgate.deliver.events import Acked, Held, Rejected
from northgate.snapshot.resource import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    SECRET,
    Delta,
    Resource,
    TypeDelta,
    content_version,
)
from northgate.xds.cache import Cache
from northgate.xds.request import Dialect

BOTH = pytest.mark.parametrize("dialect", list(Dialect), ids=["state", "delta"])
FOREIGN = "type.googleapis.com/envoy.config.nothing.v3.Nothing"


def both(*names: str) -> list[Any]:
    return [one for name in names for one in (cluster(name), assignment(name))]


def state(*resources: Any, **options: Any) -> Wire:
    return Wire(Dialect.STATE, *resources, **options)


def delta(*resources: Any, **options: Any) -> Wire:
    return Wire(Dialect.DELTA, *resources, **options)


@BOTH
def test_item_04_only_requested_types_are_sent(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), listener("l", []))
    wire.first(LISTENER)
    assert wire.publish(*both("a", "b"), listener("l", [])) == []


@BOTH
def test_item_05_an_unknown_type_waits_in_silence_and_is_served_when_published(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"))
    assert wire.begin(FOREIGN, "x") == []
    assert wire.names(wire.first(CLUSTER)) == ["a"]
    unknown = Resource(FOREIGN, "x", "1", b"anything")
    wire.cache.publish(GROUP, Delta({FOREIGN: TypeDelta({"x": unknown})}))
    (response,) = wire._read(wire.session.published(0.0))
    assert [response.type_url, len(response.resources)] == [FOREIGN, 1]


def test_item_06_empty_and_wrong_names_are_refused_when_published() -> None:
    cache = Cache()
    for name, resource in (("", cluster("")), ("x", cluster("y"))):
        with pytest.raises(ValueError, match="was published as"):
            cache.publish(GROUP, Delta({CLUSTER: TypeDelta({name: resource})}))
    with pytest.raises(ValueError, match="was published under"):
        cache.publish(GROUP, Delta({CLUSTER: TypeDelta({"a": assignment("a")})}))
    assert not cache.group(GROUP).ready


def test_item_09_a_later_node_id_changes_nothing() -> None:
    wire = state(*both("a"))
    wire.first(CLUSTER)
    wire.node = {"id": "thief", "cluster": "other/edge"}
    assert wire.names(wire.ask(ENDPOINT, "a")[0]) == ["a"]
    assert wire.session.node is not None
    assert wire.session.node.id == "n1"


@BOTH
def test_item_11_without_a_snapshot_the_stream_waits(dialect: Dialect) -> None:
    wire = Wire(dialect)
    assert wire.begin(CLUSTER) == []
    assert wire.begin(ENDPOINT, "a") == []
    assert [one.type_url for one in wire.publish(*both("a"))] == [CLUSTER, ENDPOINT]


@BOTH
def test_item_12_clear_and_set_again_keeps_subscriptions(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"))
    wire.first(CLUSTER)
    wire.cache.clear(GROUP)
    wire.world = {}
    assert wire.publish(*both("a")) == []
    (response,) = wire.publish(*both("a", "b"))
    assert "b" in wire.names(response)


def test_item_17_a_response_says_what_it_is() -> None:
    wire = state(*both("a"))
    (response,) = wire.ask(CLUSTER)
    assert all((response.version_info, response.nonce, response.type_url, response.control_plane.identifier))
    assert response.resources[0].type_url == CLUSTER


@BOTH
def test_item_18_an_ack_is_not_answered(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"))
    wire.first(CLUSTER)
    assert wire.wait(100.0) == []


@BOTH
def test_item_19_a_refused_response_is_not_repeated_and_others_go_on(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"))
    (response,) = wire.begin(CLUSTER)
    assert wire.ack(response, error="Proto constraint validation failed: private key SECRET") == []
    assert wire.wait(1000.0) == []
    assert wire.names(wire.first(ENDPOINT, "a")) == ["a"]
    (rejected,) = [event for event in wire.events if isinstance(event, Rejected)]
    assert (rejected.resources, "SECRET" in repr(wire.events)) == (("a",), False)
    response, *_ = wire.publish(cluster("a", "new"), assignment("a"))
    assert wire.names(response) == ["a"]


def test_item_20_a_refusal_may_change_names() -> None:
    wire = state(*both("a", "b"))
    (response,) = wire.ask(ENDPOINT, "a")
    (response,) = wire.ack(response, "a", "b", error="no")
    assert wire.names(response) == ["b"]


def test_item_21_a_stale_nonce_is_ignored() -> None:
    wire = state(*both("a", "b"))
    first = wire.first(ENDPOINT, "a")
    (second,) = wire.publish(cluster("a"), assignment("a", "new"), *both("b"))
    assert wire.ask(ENDPOINT, "a", "b", nonce=first.nonce) == []
    assert wire.names(wire.ack(second, "a", "b")[0]) == ["b"]


def test_item_21_an_ack_under_another_type_is_ignored() -> None:
    wire = state(*both("a"))
    (response,) = wire.ask(CLUSTER)
    assert wire.ask(LISTENER, nonce=response.nonce, version=response.version_info) == []
    assert LISTENER not in wire.session.subscriptions


def test_item_22_an_empty_nonce_after_an_answer_is_stale() -> None:
    wire = state(*both("a", "b"))
    wire.first(ENDPOINT, "a")
    assert wire.ask(ENDPOINT, "a", "b") == []


def test_item_23_a_returning_proxy_is_answered_but_for_equal_sets() -> None:
    wire = state(*both("a"), route("r", ["a"]), secret("s"))
    versions = {
        one: wire.first(one, *names).version_info for one, *names in ((CLUSTER,), (ENDPOINT, "a"), (SECRET, "s"))
    }
    wire.open()
    assert wire.ask(CLUSTER, version=versions[CLUSTER]) == []
    assert Acked(CLUSTER, versions[CLUSTER]) in wire.events
    assert len(wire.ask(ENDPOINT, "a", version=versions[ENDPOINT])) == 1
    assert len(wire.ask(SECRET, "s", version=versions[SECRET])) == 1
    wire.open()
    assert len(wire.ask(CLUSTER, version="other")) == 1


def test_item_24_versions_come_from_content() -> None:
    one, other = state(*both("a", "b")), state(*both("c"))
    other.publish(*reversed(both("a", "b")))
    assert one.ask(CLUSTER)[0].version_info == other.ask(CLUSTER)[0].version_info


def test_item_25_cluster_responses_are_complete_down_to_nothing() -> None:
    wire = state(listener("x", []), listener("y", []))
    wire.first(LISTENER)
    (response,) = wire.publish(listener("y", []))
    assert wire.names(response) == ["y"]
    wire.ack(response)
    (response,) = wire.publish(secret("s"))
    assert wire.names(response) == []


def test_item_26_other_types_send_only_what_changed() -> None:
    wire = state(*both("a", "b"))
    wire.first(ENDPOINT, "a", "b")
    (response,) = wire.publish(*both("a"), cluster("b"), assignment("b", "new"))
    assert wire.names(response) == ["b"]


def test_item_27_28_a_name_asked_for_anew_is_sent() -> None:
    wire = state(*both("a", "b"))
    response = wire.first(ENDPOINT, "a")
    (response,) = wire.ack(response, "a", "b")
    assert wire.names(response) == ["b"]
    assert wire.ack(response, "a") == []
    (response,) = wire.ack(response, "a", "b")
    assert wire.names(response) == ["b"]


def test_item_29_30_missing_assignments_are_empty_and_come_later() -> None:
    wire = state(*both("a"))
    response = wire.first(ENDPOINT, "a", "later")
    assert wire.names(response) == ["a", "later"]
    empty = worlds.MESSAGES[ENDPOINT].FromString(response.resources[1].value)
    assert (empty.cluster_name, len(empty.endpoints)) == ("later", 0)
    (response,) = wire.publish(*both("a", "later"))
    assert wire.names(response) == ["later"]


def test_item_30_missing_names_never_withhold_others() -> None:
    wire = state(route("r", []))
    assert wire.names(wire.first(ROUTE, "missing", "r")) == ["r"]


def test_item_31_of_several_first_requests_the_newest_counts() -> None:
    wire = state()
    wire.ask(ENDPOINT, "a")
    wire.ask(ENDPOINT, "b")
    (response,) = wire.publish(*both("a", "b"))
    assert wire.names(response) == ["b"]


@BOTH
def test_item_32_63_one_response_in_flight_and_changes_coalesce(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"))
    wire.first(ENDPOINT, "a")
    (response,) = wire.publish(cluster("a"), assignment("a", "0"))
    for index in range(1, 1000):
        assert wire.publish(cluster("a"), assignment("a", str(index))) == []
    (response,) = wire.ack(response, "a")
    body = response.resources[0].value if dialect is Dialect.STATE else response.resources[0].resource.value
    assert body == assignment("a", "999").body
    assert wire.ack(response, "a") == []


@BOTH
def test_item_33_45_an_empty_wildcard_is_answered_at_once_and_once(dialect: Dialect) -> None:
    wire = Wire(dialect, secret("s"))
    assert wire.names(wire.first(CLUSTER)) == []
    assert wire.wait(100.0) == []


def test_item_34_empty_names_ask_for_nothing_but_of_listeners_and_clusters() -> None:
    wire = state(*both("a"), route("r", []), secret("s"))
    assert [wire.ask(one) for one in (ENDPOINT, ROUTE, SECRET)] == [[], [], []]


def test_item_35_wildcards_come_and_go() -> None:
    wire = state(*both("a", "b"))
    response = wire.first(CLUSTER, "*", "a")
    assert wire.names(response) == ["a", "b"]
    (response,) = wire.ack(response, "a")
    assert wire.names(response) == ["a"]
    assert wire.ack(response, "a") == []
    assert wire.publish(*both("a", "b", "c")) == []
    assert wire.ack(response) == []
    assert wire.publish(*both("b"), cluster("a", "new"), assignment("a")) == []
    assert wire.wait(100.0) == []


def test_item_36_a_legacy_wildcard_lasts_until_it_is_dropped() -> None:
    wire = delta(*both("a"))
    response = wire.first(CLUSTER)
    (response,) = wire.want(CLUSTER, "a")
    wire.ack(response)
    (response,) = wire.publish(*both("a", "b"))
    assert wire.names(response) == ["b"]
    wire.ack(response)
    assert wire.want(CLUSTER, drop=("*",)) == []
    assert wire.publish(*both("a", "b", "c")) == []
    assert wire.want(CLUSTER, drop=("a",)) == []
    assert wire.publish(cluster("a", "new"), *both("b", "c")) == []


def test_item_37_a_name_dropped_under_a_wildcard_is_answered() -> None:
    wire = delta(*both("a"))
    wire.first(CLUSTER, "*", "a", "none")
    (response,) = wire.want(CLUSTER, drop=("a",))
    assert wire.names(response) == ["a"]
    wire.ack(response)
    (response,) = wire.want(CLUSTER, drop=("none",))
    assert list(response.removed_resources) == ["none"]


def test_item_38_39_asking_again_answers_and_dropping_does_not() -> None:
    wire = delta(*both("a"))
    wire.first(ENDPOINT, "a")
    (response,) = wire.want(ENDPOINT, "a")
    assert wire.names(response) == ["a"]
    wire.ack(response)
    assert wire.want(ENDPOINT, drop=("never", "a")) == []
    assert wire.publish(cluster("a"), assignment("a", "new")) == []


def test_item_40_a_missing_name_is_told_and_stays_subscribed() -> None:
    wire = delta(*both("a"))
    response = wire.first(ENDPOINT, "later")
    assert list(response.removed_resources) == ["later"]
    assert wire.names(wire.publish(*both("a", "later"))[0]) == ["later"]


def test_item_42_delta_resources_carry_their_content_version() -> None:
    wire = delta(*both("a"))
    (response,) = wire.want(CLUSTER)
    (only,) = response.resources
    assert (only.name, only.version, only.resource.type_url) == ("a", cluster("a").version, CLUSTER)
    assert response.nonce
    assert response.system_version_info


def test_item_43_delta_names_are_honoured_whatever_the_nonce() -> None:
    wire = delta(*both("a", "b"))
    wire.first(ENDPOINT, "a")
    (response,) = wire._send(_subscribe(ENDPOINT, "b", nonce="stale"), None)
    assert wire.names(response) == ["b"]


def _subscribe(type_url: str, name: str, nonce: str) -> Any:
    from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

    return DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=[name], response_nonce=nonce)


def test_item_44_versions_a_proxy_brings_are_compared() -> None:
    wire = delta(*both("same", "new"), cluster("changed", "2"), assignment("changed"))
    brought = {"same": cluster("same").version, "changed": "old", "gone": "old"}
    (response,) = wire.want(CLUSTER, **brought)
    assert wire.names(response) == ["changed", "new"]
    wire.ack(response)
    wire.want(LISTENER)
    wire.wait(15.1)
    (response,) = wire.wait(5.1)
    assert list(response.removed_resources) == ["gone"]


def test_item_44_versions_of_unwanted_names_are_ignored() -> None:
    wire = delta(secret("s"))
    (response,) = wire.want(SECRET, "s", other="1")
    assert (wire.names(response), list(response.removed_resources)) == (["s"], [])


def test_item_46_a_removal_comes_once() -> None:
    wire = delta(listener("x", []), listener("y", []))
    wire.first(LISTENER)
    (response,) = wire.publish(listener("y", []))
    assert list(response.removed_resources) == ["x"]
    assert wire.ack(response) == []
    assert wire.publish(listener("y", []), secret("s")) == []
    assert wire.names(wire.publish(listener("x", []), listener("y", []))[0]) == ["x"]


def test_item_46_what_was_never_sent_is_not_removed() -> None:
    wire = delta(listener("x", []))
    (response,) = wire.want(LISTENER)
    wire.publish(listener("x", []), listener("brief", []))
    wire.publish(listener("x", []))
    assert wire.ack(response) == []


@BOTH
def test_item_47_a_named_culprit_stays_out_and_the_rest_comes_apart(dialect: Dialect) -> None:
    wire = Wire(dialect, listener("good", []), listener("bad", []))
    (response,) = wire.begin(LISTENER)
    (response,) = wire.ack(response, error="Error adding/updating listener(s) bad: malformed IP address: x\n")
    assert wire.names(response) == ["good"]
    assert wire.ack(response) == []
    (response,) = wire.publish(listener("good", [], salt="new"), listener("bad", []))
    assert wire.names(response) == ["good"]
    assert wire.ack(response) == []
    (response,) = wire.publish(listener("good", [], salt="new"), listener("bad", [], salt="better"))
    assert "bad" in wire.names(response)


def test_item_47_unnamed_culprits_are_found_by_halves() -> None:
    names = [f"l{index}" for index in range(16)]
    wire = delta(*(listener(name, []) for name in names))
    sent, held = 0, set[str]()
    (response,) = wire.want(LISTENER)
    while True:
        sent += 1
        bad = "l5" in wire.names(response)
        held |= set() if bad else set(wire.names(response))
        following = wire.ack(response, error="Proto constraint validation failed" if bad else None)
        if not following:
            break
        (response,) = following
    assert held == set(names) - {"l5"}
    assert sent <= 10


@BOTH
def test_item_48_57_secrets_are_pushed_alone_and_never_listed_as_removed(dialect: Dialect) -> None:
    wire = Wire(dialect, secret("s"), secret("t"))
    wire.first(SECRET, "s", "t")
    (response,) = wire.publish(secret("s", "rotated"), secret("t"))
    assert wire.names(response) == ["s"]
    wire.ack(response, "s", "t")
    assert wire.publish(secret("t")) == []
    assert wire.wait(100.0) == []
    assert "rotated" not in repr(wire.events) + repr(wire.session.subscriptions)


def test_item_50_delta_answers_are_split() -> None:
    wire = delta(*(secret(f"s{index}", "x" * 1000) for index in range(10)), limit=3000)
    names = [f"s{index}" for index in range(10)]
    (response,) = wire.want(SECRET, *names)
    seen = list(wire.names(response))
    while following := wire.ack(response):
        (response,) = following
        assert len(response.SerializeToString()) < 4000
        seen += wire.names(response)
    assert sorted(seen) == names


def settle(wire: Wire) -> None:
    wire.first(CLUSTER)
    wire.first(ENDPOINT, "a")
    wire.first(LISTENER)
    wire.first(ROUTE, "r")


@BOTH
def test_item_51_52_make_before_break(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), listener("l", ["r"]), route("r", ["a"]))
    settle(wire)
    (clusters,) = wire.publish(*both("b"), listener("l", ["r"]), route("r", ["b"]))
    assert wire.names(clusters) == (["a", "b"] if dialect is Dialect.STATE else ["b"])
    following = (
        wire.ask(ENDPOINT, "a", "b", nonce=wire.session.subscriptions[ENDPOINT].nonce)
        if dialect is Dialect.STATE
        else wire.want(ENDPOINT, "b")
    )
    (endpoints,) = following
    assert wire.names(endpoints) == ["b"]
    assert wire.ack(clusters) == []
    (routes,) = wire.ack(endpoints, "a", "b")
    assert (routes.type_url, wire.names(routes)) == (ROUTE, ["r"])
    wire.wait(100.0)
    assert wire.ack(routes, "r") == []
    assert wire.wait(4.9) == []
    (final,) = wire.wait(0.2)
    assert final.type_url == CLUSTER
    assert wire.names(final) == (["b"] if dialect is Dialect.STATE else [])
    if dialect is Dialect.DELTA:
        assert list(final.removed_resources) == ["a"]


@BOTH
def test_item_52_a_cluster_wanted_again_is_not_removed(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), listener("l", []), route("r", []))
    settle(wire)
    assert wire.publish(listener("l", []), route("r", [])) == []
    wire.wait(4.0)
    assert wire.publish(*both("a"), listener("l", []), route("r", [])) == []
    assert wire.wait(100.0) == []
    assert wire.deadline is None


@BOTH
def test_item_53_a_changed_cluster_is_followed_by_its_endpoints(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a", "b"))
    wire.first(CLUSTER)
    wire.first(ENDPOINT, "a", "b")
    first, second = wire.publish(cluster("a", "new"), assignment("a"), *both("b"))
    assert (first.type_url, second.type_url, wire.names(second)) == (CLUSTER, ENDPOINT, ["a"])


def test_item_53_equal_endpoints_are_skipped_only_behind_equal_clusters() -> None:
    wire = delta(*both("a", "b"))
    have = {name: assignment(name).version for name in "ab"}
    assert wire.names(wire.want(ENDPOINT, "a", "b", **have)[0]) == ["a", "b"]
    wire.open()
    wire.node = {"id": "n1", "cluster": GROUP}
    (response,) = wire.want(CLUSTER, a=cluster("a").version, b="old")
    wire.ack(response)
    assert wire.names(wire.want(ENDPOINT, "a", "b", **have)[0]) == ["b"]


def test_a_repeated_question_of_a_warming_proxy_is_answered() -> None:
    wire = state(*both("a"))
    response = wire.first(ENDPOINT, "a")
    (again,) = wire.ack(response, "a")
    assert wire.names(again) == ["a"]
    assert again.nonce != response.nonce


@BOTH
def test_item_54_a_new_listener_waits_for_its_clusters_only(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), listener("l", ["r"]), route("r", ["a"]))
    settle(wire)
    sent = wire.publish(*both("a", "b"), listener("l", []), listener("m", ["r"], ["b"]), route("r", ["a"]))
    assert [one.type_url for one in sent] == [CLUSTER, LISTENER]
    assert wire.names(sent[1]) == ["l"]


@BOTH
def test_item_55_a_silent_type_holds_only_what_depends_on_it(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), route("r", ["a"]), route("other", []))
    wire.first(CLUSTER)
    wire.first(ROUTE, "r", "other")
    sent = wire.publish(cluster("a", "new"), assignment("a"), route("r", ["a"], "new"), route("other", [], "new"))
    assert [one.type_url for one in sent] == [CLUSTER, ROUTE]
    assert wire.names(sent[1]) == ["other"]
    assert wire.ack(sent[1], "r", "other") == []
    (late,) = wire.wait(15.1)
    assert wire.names(late) == ["r"]


@BOTH
def test_item_55_a_route_never_goes_to_a_cluster_that_was_not_acked(dialect: Dialect) -> None:
    wire = Wire(dialect, *both("a"), route("r", ["a"]))
    wire.first(CLUSTER)
    wire.first(ROUTE, "r")
    (clusters,) = wire.publish(*both("a", "b"), route("r", ["b"]))
    assert wire.wait(15.1) == []
    assert [event.missing for event in wire.events if isinstance(event, Held)] == [("b",)]
    wire.ack(clusters, error="Error adding/updating cluster(s) b: no")
    assert wire.wait(1000.0) == []


def test_item_56_without_clusters_on_the_stream_nothing_waits() -> None:
    wire = delta(*both("a"), route("r", ["a"]))
    assert wire.names(wire.want(ROUTE, "r")[0]) == ["r"]


@BOTH
def test_item_65_equal_streams_share_bytes_and_versions_are_equal_content(dialect: Dialect) -> None:
    one = Wire(dialect, *both("a"))
    other = Wire(dialect, cache=one.cache)
    raw = []
    for wire in (one, other):
        wire.begin(CLUSTER)
        raw.append(wire.session.subscriptions[CLUSTER].nonce)
    assert raw[0] == raw[1]
    assert cluster("a").version == content_version(CLUSTER.encode(), cluster("a").body)


def test_item_33_an_empty_set_is_answered_while_clusters_are_under_way() -> None:
    wire = state(*both("a"))
    wire.ask(CLUSTER)
    assert wire.names(wire.ask(LISTENER)[0]) == []


def test_item_47_going_back_after_a_partial_apply_is_told() -> None:
    wire = delta(listener("good", [], salt="old"))
    wire.first(LISTENER)
    (response,) = wire.publish(listener("good", [], salt="new"), listener("bad", []))
    assert wire.publish(listener("good", [], salt="old")) == []
    sent = wire.ack(response, error="Error adding/updating listener(s) bad: no")
    seen = list(sent)
    while sent:
        sent = wire.ack(sent[0])
        seen += sent
    assert [wire.names(one) for one in seen if one.resources] == [["good"]]
