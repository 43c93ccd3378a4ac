from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.harness.facts import wait_for
from tests.kube.source_rig import AUDITING, QUICK, Refusal, StubApi, stub_api

from northgate.kube.access import Access
from northgate.kube.kinds import Kind, Scope, Served
from northgate.kube.mirror import Mirror
from northgate.kube.pace import Pace
from northgate.kube.reading import Reader, Reason, split_lines
from northgate.kube.shelf import Document, Shelf
from northgate.world.key import ObjectKey

SERVICES = Kind("Service", "services", (Served("", "v1"),))
SECRETS = Kind("Secret", "secrets", (Served("", "v1"),), selective=True)
ROUTES = Kind("Route", "routes", (Served("northgate.dev", "v1alpha1"),), own=True)
GRANTS = Kind(
    "ReferenceGrant",
    "referencegrants",
    (Served("gateway.networking.k8s.io", "v1beta1"), Served("northgate.dev", "v1alpha1")),
    optional=True,
)


class Mirrored:
    """One mirror that runs, what it told last of every object, and how often."""

    def __init__(self) -> None:
        self.world: dict[str, Document] = {}
        self.told: list[tuple[str, Document | None]] = []
        self.wanted: set[str] = set()
        self.mirror: Mirror

    def tell(self, key: ObjectKey, document: Document | None) -> None:
        self.told.append((key.name, document))
        if document is None:
            del self.world[key.name]
        else:
            self.world[key.name] = document

    async def until(self, names: set[str]) -> None:
        async def holds() -> bool:
            return set(self.world) == names

        await wait_for(holds, f"{sorted(names)} are there")

    async def troubled(self, reason: Reason | None) -> None:
        async def holds() -> bool:
            return (self.mirror.trouble.reason if self.mirror.trouble else None) is reason

        await wait_for(holds, f"trouble is {reason}")

    async def fact(self, fact: object, what: str) -> None:
        async def holds() -> bool:
            return bool(fact())  # type: ignore[operator]

        await wait_for(holds, what)


@pytest.fixture
async def api() -> AsyncIterator[StubApi]:
    async with stub_api() as found:
        yield found


class Start:
    def __init__(self, api: StubApi) -> None:
        self.api = api
        self.tasks: list[asyncio.Task[None]] = []
        self.closing = []

    def __call__(self, kind: Kind = SERVICES, place: str = "", pace: Pace = QUICK) -> Mirrored:
        found = Mirrored()
        session = Access(self.api.url).session()
        self.closing.append(session.close)
        shelf = Shelf(kind, found.tell, lambda key: key.name in found.wanted)
        found.mirror = Mirror(Reader(session, kind, place, pace), shelf, pace, lambda: None)
        found.mirror.admitted.set()
        self.tasks.append(asyncio.create_task(found.mirror.run()))
        return found


@pytest.fixture
async def start(api: StubApi) -> AsyncIterator[Start]:
    found = Start(api)
    yield found
    for task in found.tasks:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*found.tasks, return_exceptions=True)
    for close in found.closing:
        await close()


async def test_lists_come_in_pages_and_changes_follow(api: StubApi, start: Start) -> None:
    names = {f"s{number}" for number in range(10)}
    for name in sorted(names):
        api.put("services", "demo", name, spec={"ports": []})
    found = start()
    await found.until(names)
    assert api.lists["services"] == 4
    assert found.world["s3"]["kind"] == "Service"
    assert found.world["s3"]["apiVersion"] == "v1"
    await found.fact(lambda: api.watched, "it watches")
    api.put("services", "demo", "new")
    api.delete("services", "demo", "s0")
    await api.ring()
    await found.until(names - {"s0"} | {"new"})
    assert api.watched == [("services", 110)]
    assert api.lists["services"] == 4


async def test_pages_that_expire_are_read_in_one_go(api: StubApi, start: Start) -> None:
    for number in range(5):
        api.put("services", "demo", f"s{number}")
    api.expire_pages = True
    await start().until({f"s{number}" for number in range(5)})


async def test_a_cut_watch_goes_on_from_where_it_was(api: StubApi, start: Start) -> None:
    api.put("services", "demo", "a")
    found = start()
    await found.fact(lambda: api.watched, "it watches")
    api.put("services", "demo", "b")
    await api.cut()
    await found.until({"a", "b"})
    assert set(api.watched) <= {("services", 101), ("services", 102)}
    assert api.lists["services"] == 1


async def test_bookmarks_move_the_place_to_go_on_from(api: StubApi, start: Start) -> None:
    found = start()
    await found.fact(lambda: api.watched, "it watches")
    api.bookmark("services")

    async def goes_on() -> bool:
        await api.cut()
        return api.watched[-1][1] == api.version

    await wait_for(goes_on, "a new watch goes on from the bookmark")
    assert api.lists["services"] == 1


async def test_no_ghost_stays_when_history_is_gone(api: StubApi, start: Start) -> None:
    api.put("services", "demo", "ghost")
    api.put("services", "demo", "stays")
    found = start()
    await found.until({"ghost", "stays"})
    await found.fact(lambda: api.watched, "it watches")
    api.deaf = True
    api.delete("services", "demo", "ghost")
    api.compact()
    api.deaf = False
    await api.cut()
    await found.until({"stays"})
    assert [name for name, document in found.told if document is None] == ["ghost"]
    assert [name for name, _ in found.told].count("stays") == 1


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({"type": "ERROR", "object": {"code": 410, "message": "too old"}}, id="gone"),
        pytest.param({"type": "ERROR", "object": {"reason": "Expired"}}, id="expired"),
        pytest.param({"type": "ERROR", "object": {"code": 500, "message": "etcd"}}, id="server error"),
        pytest.param({"type": "ADDED", "object": "no object"}, id="malformed"),
    ],
)
async def test_an_error_in_a_stream_leads_to_a_new_list(api: StubApi, start: Start, line: object) -> None:
    api.put("services", "demo", "a")
    api.injected.append(json.dumps(line).encode() + b"\n")
    found = start()
    await found.fact(lambda: len(api.watched) == 2, "it watches again")
    assert api.lists["services"] == 2
    assert set(found.world) == {"a"}


async def test_a_silent_stream_is_broken_off(api: StubApi, start: Start) -> None:
    api.deaf = True
    found = start(pace=replace(QUICK, silence=0.1))
    await found.fact(lambda: len(api.watched) >= 2, "it watches again")
    assert found.mirror.trouble is None


async def test_an_audit_finds_what_a_watch_never_said(api: StubApi, start: Start) -> None:
    api.put("services", "demo", "ghost")
    api.put("services", "demo", "old", spec={"type": "ClusterIP"})
    found = start(pace=AUDITING)
    await found.until({"ghost", "old"})
    await found.fact(lambda: api.watched, "it watches")
    api.deaf = True
    api.delete("services", "demo", "ghost")
    api.put("services", "demo", "missed")
    await found.until({"old", "missed"})
    assert found.mirror.drift == 2
    await found.fact(lambda: len(api.watched) == 2, "a watch that misses changes is begun anew")


async def test_an_audit_gives_a_watch_time_to_catch_up(api: StubApi, start: Start) -> None:
    found = start(pace=replace(QUICK, settle=0.5))
    await found.fact(lambda: api.watched, "it watches")
    api.deaf = True
    api.put("services", "demo", "slow")
    found.mirror.look()
    await found.fact(lambda: api.lists["services"] == 2, "an audit")
    api.deaf = False
    await api.ring()
    await found.until({"slow"})
    listed = found.mirror.state().listed
    await found.fact(lambda: found.mirror.state().listed != listed, "the audit is over")
    assert found.mirror.drift == 0


async def test_an_audit_finds_nothing_where_the_watch_is_right(api: StubApi, start: Start) -> None:
    found = start(pace=AUDITING)
    for number in range(40):
        api.put("services", "demo", f"s{number}")
        await api.ring()
        await asyncio.sleep(0.01)
    await found.until({f"s{number}" for number in range(40)})
    lists = api.lists["services"]
    await found.fact(lambda: api.lists["services"] > lists + 28, "two more audits")
    assert found.mirror.drift == 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.UNAUTHORIZED),
        (403, Reason.FORBIDDEN),
        (429, Reason.BUSY),
        (500, Reason.SERVER_ERROR),
        (503, Reason.SERVER_ERROR),
    ],
)
async def test_a_refusal_is_told_and_never_means_empty(api: StubApi, start: Start, status: int, reason: Reason) -> None:
    api.put("services", "demo", "a")
    found = start(pace=AUDITING)
    await found.until({"a"})
    api.refusals["services"] = Refusal(status)
    await api.cut()
    await found.troubled(reason)
    since = found.mirror.trouble.since if found.mirror.trouble else 0
    asked = len(api.asked)
    await found.fact(lambda: len(api.asked) > asked + 3, "it is tried again")
    assert found.mirror.trouble is not None
    assert found.mirror.trouble.since == since
    assert set(found.world) == {"a"}
    api.refusals.clear()
    api.put("services", "demo", "b")
    await found.troubled(None)
    await found.until({"a", "b"})


async def test_a_kind_that_vanishes_keeps_its_objects(api: StubApi, start: Start) -> None:
    api.put("services", "demo", "a")
    found = start(pace=AUDITING)
    await found.until({"a"})
    api.missing.add("services")
    await found.troubled(Reason.MISSING)
    assert set(found.world) == {"a"}
    assert "CustomResourceDefinition" in (found.mirror.trouble.message if found.mirror.trouble else "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<html>sign in</html>", id="a page"),
        pytest.param("{}", id="nothing"),
        pytest.param('{"kind": "Service", "metadata": {"resourceVersion": "1"}}', id="one object"),
        pytest.param('{"kind": "ServiceList", "metadata": {"resourceVersion": ""}}', id="no version"),
        pytest.param('{"kind": "ServiceList", "metadata": {"resourceVersion": "9"}, "items": [{', id="cut off"),
        pytest.param('{"kind": "ServiceList", "metadata": {"resourceVersion": "9"}, "items": [{}]}', id="no names"),
    ],
)
async def test_an_answer_that_is_no_list_never_means_empty(api: StubApi, start: Start, text: str) -> None:
    api.put("services", "demo", "a")
    found = start(pace=AUDITING)
    await found.until({"a"})
    api.refusals["services"] = Refusal(200, text=text)
    await found.troubled(Reason.MALFORMED)
    assert set(found.world) == {"a"}


async def test_a_server_that_asks_for_patience_gets_it(api: StubApi, start: Start) -> None:
    api.refusals["services"] = Refusal(429, {"Retry-After": "1"})
    found = start()
    await found.fact(lambda: len(api.asked) == 2, "two requests")
    assert api.asked[1] - api.asked[0] >= 0.95


async def test_a_server_that_is_away_is_unreachable(start: Start, api: StubApi) -> None:
    api.url = "http://127.0.0.1:9"
    found = start()
    await found.troubled(Reason.UNREACHABLE)
    assert not found.mirror.settled


async def test_a_bad_watch_does_not_ask_without_rest(api: StubApi, start: Start) -> None:
    api.injected.extend([b'{"type": "ERROR", "object": {"code": 410}}\n'] * 1000)
    found = start(pace=replace(QUICK, first=0.1, longest=0.4))
    await found.fact(lambda: len(api.watched) >= 4, "some watches")
    assert api.lists["services"] <= 5


async def test_only_referenced_objects_are_read(api: StubApi, start: Start) -> None:
    api.put("secrets", "demo", "mine", data={"a": "AA=="})
    api.put("secrets", "demo", "other", data={"a": "AQ=="})
    found = start(SECRETS)
    found.wanted.add("mine")
    await found.until({"mine"})
    assert (len(found.mirror.shelf), found.mirror.shelf.kept()) == (2, 1)
    found.wanted = {"other"}
    found.mirror.recheck()
    await found.until({"other"})
    assert found.world["other"]["data"] == {"a": "AQ=="}
    assert api.gets == ["demo/other"]
    assert api.lists["secrets"] == 1


async def test_what_became_of_interest_is_read_once_the_server_answers(api: StubApi, start: Start) -> None:
    api.put("secrets", "demo", "late")
    found = start(SECRETS)
    await found.fact(lambda: api.watched, "it watches")
    api.refusals["secrets"] = Refusal(500)
    found.wanted.add("late")
    found.mirror.recheck()
    await found.troubled(Reason.SERVER_ERROR)
    assert not found.mirror.rechecked
    api.refusals.clear()
    await found.until({"late"})
    await found.troubled(None)
    await found.fact(lambda: found.mirror.rechecked, "nothing is left to read")


async def test_own_kinds_are_listed_and_never_watched(api: StubApi, start: Start) -> None:
    api.put("routes", "demo", "a", status={"x": 1}, spec={})
    found = start(ROUTES, pace=AUDITING)
    await found.until({"a"})
    assert found.world["a"] == {
        "apiVersion": "northgate.dev/v1alpha1",
        "kind": "Route",
        "metadata": {"name": "a", "namespace": "demo"},
        "spec": {},
    }
    api.put("routes", "demo", "a", status={"x": 2}, spec={})
    api.put("routes", "demo", "b")
    await found.until({"a", "b"})
    assert [name for name, _ in found.told] == ["a", "b"]
    assert api.watched == []


async def test_grants_are_of_the_first_group_that_is_there(api: StubApi, start: Start) -> None:
    api.missing.add("apis/gateway.networking.k8s.io/v1beta1")
    api.missing.add("apis/northgate.dev/v1alpha1")
    found = start(GRANTS, pace=AUDITING)
    await found.troubled(Reason.MISSING)
    assert found.mirror.settled
    api.put("referencegrants", "demo", "a")
    api.missing.remove("apis/northgate.dev/v1alpha1")
    await found.until({"a"})
    assert found.mirror.shelf.group == "northgate.dev"
    api.missing.clear()
    await found.fact(lambda: found.mirror.shelf.group == "gateway.networking.k8s.io", "the other group's")
    api.missing.add("apis/gateway.networking.k8s.io/v1beta1")
    await found.troubled(Reason.MISSING)
    assert found.mirror.shelf.group == "gateway.networking.k8s.io"
    assert set(found.world) == {"a"}


async def test_one_namespace_is_read_by_its_name(api: StubApi, start: Start) -> None:
    kind = Kind("Namespace", "namespaces", (Served("", "v1"),), namespaced=False)
    api.put("namespaces", "", "mine")
    api.put("namespaces", "", "other")
    found = start(kind, "mine", AUDITING)
    await found.until({"mine"})
    api.delete("namespaces", "", "mine")
    await found.until(set())
    assert (api.lists["namespaces"], api.watched) == (0, [])


def test_places_follow_what_is_allowed() -> None:
    scope = Scope(("b", "a", "a"), ("certs",))
    assert scope.places(SERVICES) == ("a", "b")
    assert scope.places(SECRETS) == ("certs",)
    assert scope.place(SERVICES, "a") == "a"
    assert Scope().places(SERVICES) == ("",)
    assert Scope().places(SECRETS) == ()
    with pytest.raises(ValueError, match="name one"):
        Scope(())


async def test_lines_are_whole_whatever_the_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a\nb", b"b", b"\n\n", b"c\nd\n", b"cut off"):
            yield piece

    assert [lines async for lines in split_lines(pieces())] == [[b"a"], [b"bb"], [b"c", b"d"]]


def test_rests_grow_and_differ() -> None:
    pace = Pace(first=1, longest=30)
    assert [pace.rest(failures, 0) for failures in (1, 2, 3, 100)] == [0.5, 1, 2, 15]
    assert pace.rest(1, 0.5, asked=20) == 21
    assert pace.rest(1, 0, asked=3000) == 60
    assert 40 <= pace.until_audit(0.999) < pace.until_audit(0) == 60
