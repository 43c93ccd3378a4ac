"""Is an edit live at once, however it is made, and does a broken file leave everything as it was?"""

from __future__ import annotations

import json

import pytest
from tests.standalone.server import Server, gateway, route, run

pytestmark = pytest.mark.envoy


async def serving(server: Server) -> None:
    server.write("gateway.yaml", gateway())
    server.write("a.yaml", route("a", "one"))
    await server.start()
    await server.answers("a.test", "one")


async def test_every_way_to_change_the_folder_is_live_at_once(envoy_binary, record_property):
    async with Server() as server:
        await serving(server)
        took = {}
        took["edit"] = await server.answers("a.test", "two", server.write("a.yaml", route("a", "two")))
        took["add"] = await server.answers("b.test", "b", server.write("b.yaml", route("b", "b")))
        since = server.write("teams/shop/deep/c.yaml", route("c", "c"))
        took["sub-folder"] = await server.answers("c.test", "c", since)
        since = server.write("many.yaml", f"{route('d', 'd')}---\n{route('e', 'e')}")
        took["multi-document"] = await server.answers("e.test", "e", since)
        await server.answers("d.test", "d")
        (server.folder / "a.yaml").rename(server.folder / "renamed.yaml")
        since = server.write("renamed.yaml", route("a", "three"))
        took["rename"] = await server.answers("a.test", "three", since)
        (server.folder / "b.yaml").unlink()
        took["delete"] = await server.answers("b.test", "", server.write("x.txt", "not read"))
        assert (await server.get("b.test")).status == 404
        for name, seconds in took.items():
            record_property(name, f"{1000 * seconds:.0f} ms")


async def test_a_broken_file_keeps_what_it_said_and_the_status_says_where_and_what_to_do(envoy_binary):
    async with Server() as server:
        await serving(server)
        server.write("a.yaml", route("a", "two") + "  - respond: {status: 200\n")

        async def told() -> list[dict]:
            return list((await server.status())["problems"])

        (problem,) = await server.until(told, "the problem is told")
        assert problem["file"].endswith("/a.yaml")
        assert (problem["line"], problem["column"], problem["field"]) == (10, 1, "")
        assert problem["message"].endswith("so correct the syntax; what the file declared before stays in force")
        assert (await server.get("a.test")).body == b"one"
        address = server.whereabouts()["status"]
        code, table, _ = await run("status", "--server", address)
        assert code == 1
        assert table.startswith(f"✗ {server.folder}/a.yaml:10:1: this is not YAML: ")

        server.write("a.yaml", route("a", "two").replace("status: 200", "status: 2000"))

        async def said() -> bool:
            _, table, _ = await run("status", "--server", address)
            wanted = "spec.rules[0].respond.status: 2000 is out of range; write a whole number from 200 to 599"
            return "✗ Route shop/a: " in table and wanted in table

        await server.until(said, "the status names the field and the remedy")
        assert (await server.get("a.test")).body == b"one"
        assert f"{server.folder}/a.yaml:8:23: Route shop/a: spec.rules[0].respond.status: 2000 is out" in server.log()
        assert "its last good version goes on serving" in server.log()

        await server.answers("a.test", "two", server.write("a.yaml", route("a", "two")))
        code, table, _ = await run("status", "--server", address, "--wait", "10")
        assert (code, "✗" in table) == (0, False)


async def test_what_looks_like_our_kind_and_is_not_is_a_problem_and_other_kinds_are_none(envoy_binary):
    async with Server() as server:
        await serving(server)
        server.write("typo.yaml", route("typo", "x").replace("kind: Route", "kind: Rout"))
        server.write("other.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\n")

        async def told() -> list[dict]:
            return list((await server.status())["problems"])

        (problem,) = await server.until(told, "the problem is told")
        assert problem["field"] == "kind"
        assert problem["message"].endswith("it is left out; did you mean Route?")
        await server.until(_said(server, "Deployment of group apps is not read by Northgate"), "the log tells it")
        (server.folder / "typo.yaml").unlink()

        async def gone() -> bool:
            return not await told()

        await server.until(gone, "the problem is gone")


def _said(server: Server, text: str):
    async def said() -> bool:
        return text in server.log()

    return said


async def test_polling_finds_edits_too(envoy_binary):
    async with Server("--poll", "--log-format", "json") as server:
        await serving(server)
        await server.answers("a.test", "two", server.write("a.yaml", route("a", "two")))
        lines = [json.loads(line) for line in server.log().splitlines()]
        assert {"time", "level", "logger", "message"} <= lines[0].keys()
