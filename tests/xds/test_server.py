"""The gRPC shell: real streams over a real socket."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from tests.xds import worlds
from tests.xds.clients import Client, connect, until

from northgate.deliver.ledger import State
from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from northgate.xds.request import Dialect
from northgate.xds.server import Options, XdsServer

GROUP = "pop/edge"
FIRST = worlds.world(worlds.cluster("a"), worlds.assignment("a"), worlds.route("r", "a"), worlds.listener("l", "r"))


def publish(server: XdsServer, old: worlds.World, new: worlds.World, group: str = GROUP) -> int:
    return server.publish(group, worlds.change(old, new))


async def hello(client: Client, type_url: str = CLUSTER, node: str = "n1") -> None:
    await client.ask(type_url, node=node)
    response = await client.answer()
    await client.ack(response)


async def test_item_01_aggregated_streams_of_both_dialects(server: XdsServer, client: Client) -> None:
    publish(server, {}, FIRST)
    await client.ask(CLUSTER)
    response = await client.answer()
    assert (response.type_url, len(response.resources)) == (CLUSTER, 1)
    assert response.control_plane.identifier == "test"


async def test_item_01_a_request_without_a_type_is_refused(client: Client) -> None:
    await client.ask("")
    assert await client.end() is grpc.StatusCode.INVALID_ARGUMENT


async def test_item_08_the_first_request_tells_the_node(server: XdsServer, client: Client) -> None:
    await client.ask(CLUSTER, node=None)
    assert await client.end() is grpc.StatusCode.INVALID_ARGUMENT
    publish(server, {}, FIRST)
    async with connect(server.address, client.dialect) as other:
        await hello(other)


async def test_item_08_bytes_that_are_no_request_are_refused(client: Client) -> None:
    await client.call.write(b"\xff\xff\xff")
    assert await client.end() is grpc.StatusCode.INVALID_ARGUMENT


async def test_item_09_a_newer_stream_takes_over_once_it_acked(server: XdsServer, client: Client) -> None:
    publish(server, {}, FIRST)
    await hello(client)
    async with connect(server.address, client.dialect) as newer:
        await newer.ask(CLUSTER)
        response = await newer.answer()
        await client.ask(LISTENER, node=None)
        assert (await client.answer()).type_url == LISTENER
        await newer.ack(response)
        assert await client.end() is grpc.StatusCode.UNAVAILABLE


async def test_item_09_two_live_proxies_of_one_id_are_both_served(server: XdsServer, client: Client) -> None:
    publish(server, {}, FIRST)
    await hello(client)
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(connect(server.address, client.dialect))
        await hello(second)
        assert await client.end() is grpc.StatusCode.UNAVAILABLE
        third = await stack.enter_async_context(connect(server.address, client.dialect))
        await hello(third)
        await until(lambda: any(report.shares_identity for report in server.ledger.proxies(GROUP, 0.0)))
        for one in (second, third):
            await one.ask(LISTENER, node=None)
            assert (await one.answer()).type_url == LISTENER


async def test_item_09_too_many_streams_of_one_id_are_refused(server: XdsServer) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(16):
            await (await stack.enter_async_context(connect(server.address, Dialect.STATE))).ask(CLUSTER)
        await until(lambda: server.streams() == 16)
        surplus = await stack.enter_async_context(connect(server.address, Dialect.STATE))
        await surplus.ask(CLUSTER)
        assert await surplus.end() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_item_10_a_changed_mapping_moves_streams() -> None:
    groups = {"n1": "one"}
    server = XdsServer(options=Options(group_of=lambda node: groups[node.id]))
    address = await server.start("127.0.0.1:0")
    publish(server, {}, FIRST, "one")
    async with connect(address, Dialect.STATE) as client:
        await hello(client)
        groups["n1"] = "two"
        server.regroup()
        assert await client.end() is grpc.StatusCode.UNAVAILABLE
    await server.stop(0)


async def test_item_11_before_it_is_ready_a_server_refuses(server: XdsServer, client: Client) -> None:
    server.set_serving(False)
    assert await client.end() is grpc.StatusCode.UNAVAILABLE


async def test_item_11_a_group_without_snapshot_is_answered_when_it_has_one(server: XdsServer, client: Client) -> None:
    await client.ask(CLUSTER)
    await until(lambda: server.streams() == 1)
    publish(server, {}, FIRST)
    assert len((await client.answer()).resources) == 1


async def test_item_13_a_stream_that_is_gone_leaves_nothing(server: XdsServer) -> None:
    publish(server, {}, FIRST)
    for end in ("cancel", "half-close"):
        async with connect(server.address, Dialect.STATE) as client:
            await hello(client)
            assert server.streams() == 1
            if end == "half-close":
                await client.call.done_writing()
                assert await client.end() is grpc.StatusCode.OK
        await until(lambda: server.streams() == 0)
    report = server.ledger.proxies(GROUP, 0.0)[0]
    assert (report.connected, report.types[CLUSTER].state) == (False, State.DISCONNECTED)


async def test_item_15_a_graceful_stop_ends_streams_and_refuses_new_ones(server: XdsServer, client: Client) -> None:
    publish(server, {}, FIRST)
    await hello(client)
    stopping = asyncio.create_task(server.stop(2.0))
    assert await client.end() is grpc.StatusCode.UNAVAILABLE
    await stopping


async def test_item_49_large_requests_are_taken(server: XdsServer) -> None:
    publish(server, {}, FIRST)
    async with connect(server.address, Dialect.DELTA) as client:
        names = {f"{index:06}{'x' * 60}": "0123456789abcdef" for index in range(70_000)}
        await client.send(
            node={"id": "n1", "cluster": GROUP},
            type_url=ENDPOINT,
            resource_names_subscribe=[*names, "a"],
            initial_resource_versions=names,
        )
        response = await client.answer()
        assert "a" in client.names(response)


async def test_item_61_a_stream_that_does_not_read_is_closed() -> None:
    server = XdsServer(options=Options(write_timeout=0.2))
    address = await server.start("127.0.0.1:0")
    publish(server, {}, worlds.world(worlds.cluster("big", "x" * 30_000_000)))
    async with connect(address, Dialect.STATE) as client:
        await client.ask(CLUSTER)
        await until(lambda: server.streams() == 1)
        await until(lambda: server.streams() == 0)
    await server.stop(0)


async def test_item_64_a_change_does_not_touch_other_groups(server: XdsServer) -> None:
    publish(server, {}, FIRST)
    publish(server, {}, FIRST, "other/edge")
    async with connect(server.address, Dialect.STATE) as client:
        await hello(client)
        touched: list[int] = []
        stream = next(iter(server._streams[GROUP].values()))
        stream.published = lambda: touched.append(1)  # type: ignore[method-assign]
        publish(server, FIRST, worlds.world(worlds.cluster("b")), "other/edge")
        await until(lambda: server.ledger.revision("other/edge") == 2)
        assert not touched


async def test_item_66_an_exception_ends_one_stream_only(server: XdsServer, caplog: pytest.LogCaptureFixture) -> None:
    publish(server, {}, FIRST)
    async with connect(server.address, Dialect.STATE) as broken, connect(server.address, Dialect.STATE) as good:
        await hello(broken, node="broken")
        await hello(good, node="good")
        stream = next(one for one in server._streams[GROUP].values() if one.session.node.id == "broken")
        stream.session.published = lambda _: 1 / 0  # type: ignore[method-assign,assign]
        publish(server, FIRST, worlds.world(worlds.cluster("b")))
        assert await broken.end() is grpc.StatusCode.INTERNAL
        assert (await good.answer()).type_url == CLUSTER
    assert "the stream of broken broke" in caplog.text


async def test_a_unix_socket_is_listened_on(tmp_path: Path) -> None:
    server = XdsServer()
    address = await server.start(f"unix:{tmp_path}/xds.sock")
    publish(server, {}, FIRST)
    async with connect(address, Dialect.STATE) as client:
        await hello(client)
    await server.stop(0)


async def test_the_ledger_knows_what_was_acked(server: XdsServer, client: Client) -> None:
    revision = publish(server, {}, FIRST)
    for type_url, names in ((CLUSTER, ()), (ENDPOINT, ("a",)), (LISTENER, ()), (ROUTE, ("r",))):
        await client.ask(type_url, *names)
        await client.ack(await client.answer(), *names)
    await until(lambda: server.ledger.proxies(GROUP, 0.0)[0].synced_revision == revision)
    report = server.ledger.proxies(GROUP, 0.0)[0]
    assert {report.types[type_url].state for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)} == {State.SYNCED}
    assert report.types[worlds.SECRET].state is State.NOT_SUBSCRIBED


async def test_clear_and_set_again_keeps_streams(server: XdsServer, client: Client) -> None:
    publish(server, {}, FIRST)
    await hello(client)
    server.clear(GROUP)
    publish(server, {}, worlds.world(worlds.cluster("b"), worlds.assignment("b")))
    assert len((await client.answer()).resources) >= 1
