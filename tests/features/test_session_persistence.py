"""`sessionPersistence`: what it becomes, what it refuses, and that a header keeps a client at its endpoint."""

from __future__ import annotations

import pytest
from envoy.extensions.filters.http.stateful_session.v3.stateful_session_pb2 import StatefulSessionPerRoute
from envoy.extensions.http.stateful_session.cookie.v3.cookie_pb2 import CookieBasedSessionState
from envoy.extensions.http.stateful_session.header.v3.header_pb2 import HeaderBasedSessionState
from tests.features.translation import FORWARD, chain, edge_with, per_route, refused, rule
from tests.harness.edge import EXAMPLES, RunningEdge

from northgate.features.session_persistence import STATEFUL_SESSION
from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client
from northgate.world.key import ObjectKey

COOKIE = {"cookie": {"name": "stay"}}


def state(message, **block):
    found = per_route(rule(sessionPersistence=block), STATEFUL_SESSION.name, StatefulSessionPerRoute())
    assert found.stateful_session.session_state.typed_config.Unpack(message)
    return message


@pytest.mark.parametrize(
    ("more", "path", "seconds"),
    [
        ({}, "/", 0),
        ({"ttl": "1h"}, "/", 3600),
        ({"ttl": "1500ms", "path": "/cart"}, "/cart", 2),
        ({"ttl": "0s"}, "/", 0),
    ],
)
def test_by_cookie(more, path, seconds):
    cookie = state(CookieBasedSessionState(), cookie={"name": "stay"} | more).cookie
    assert (cookie.name, cookie.path, cookie.ttl.seconds, cookie.ttl.nanos) == ("stay", path, seconds, 0)


def test_by_header():
    assert state(HeaderBasedSessionState(), header={"name": "X-Endpoint"}).name == "x-endpoint"


def test_the_endpoint_is_chosen_after_all_that_may_refuse_the_request():
    names = chain(edge_with(FORWARD))
    assert names[names.index(STATEFUL_SESSION.name) + 1 :] == ["northgate.filters.reset", "envoy.filters.http.router"]


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (FORWARD | {"sessionPersistence": {}}, "set exactly one of: cookie, header"),
        (FORWARD | {"sessionPersistence": COOKIE | {"header": {"name": "a"}}}, "set exactly one of: cookie, header"),
        ({"respond": {"status": 200}, "sessionPersistence": COOKIE}, "need backendRefs"),
        (
            {
                "backendRefs": [{"name": "web", "port": 80}, {"name": "other", "port": 80}],
                "sessionPersistence": COOKIE,
            },
            "exactly one backend",
        ),
    ],
    ids=["neither", "both", "no backend", "two backends"],
)
def test_nothing_is_accepted_that_does_nothing(blocks, said):
    assert said in refused(**blocks)


@pytest.mark.envoy
async def test_a_header_and_a_cookie_keep_a_client_at_its_endpoint(envoy_binary):
    async with RunningEdge() as edge, Client(5) as client:
        await edge.serve(
            [*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml", EXAMPLES / "session-persistence.yaml")]
        )
        target = Target(edge.place().addresses[80])

        async def seen(path: str, *headers: tuple[str, str], times: int = 30) -> set[tuple[str, ...]]:
            request = Request("GET", path, "session.example.test", headers)
            return {(await client.send(target, request)).header("x-echo-upstream") for _ in range(times)}

        first = await client.send(target, Request("GET", "/api", "session.example.test"))
        [endpoint] = first.header("x-endpoint")
        assert await seen("/api", ("x-endpoint", endpoint)) == {first.header("x-echo-upstream")}
        assert len(await seen("/api")) == 3

        first = await client.send(target, Request("GET", "/cart/1", "session.example.test"))
        [cookie] = first.header("set-cookie")
        kept = ("cookie", cookie.partition(";")[0])
        assert await seen("/cart/2", kept) == {first.header("x-echo-upstream")}
        assert len(await seen("/", kept)) == 3

        [name] = first.header("x-echo-upstream")
        await edge.apply((), [ObjectKey("discovery.k8s.io", "EndpointSlice", "demo", f"{name}-local")])
        moved = await client.send(target, Request("GET", "/cart/3", "session.example.test", (kept,)))
        [cookie] = moved.header("set-cookie")
        assert moved.status == 200
        assert cookie.partition(";")[0] != kept[1]
