"""Do requests outlive crashes, stops and restarts of the processes that serve them?"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import yaml
from tests.harness.envoy import EnvoyProcess
from tests.harness.load import Kind, Load
from tests.standalone.server import Server, alive, echo, gateway, route, run

from northgate.ops.exchange import Outcome, Target

pytestmark = pytest.mark.envoy


async def test_a_killed_envoy_is_replaced_and_serves_what_is_wanted_by_then(envoy_binary):
    async with Server() as server:
        server.write("gateway.yaml", gateway())
        server.write("a.yaml", route("a", "one"))
        await server.start()
        await server.answers("a.test", "one")
        (first,) = (await server.status())["envoys"]
        os.kill(first["pid"], signal.SIGKILL)
        server.write("a.yaml", route("a", "two"))
        await server.answers("a.test", "two")
        (second,) = (await server.status())["envoys"]
        assert second["pid"] != first["pid"]
        assert f"(process {first['pid']}) ended with status -9" in server.log()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
async def test_stopping_answers_the_request_in_flight_and_leaves_nothing_behind(how, envoy_binary, echo_upstreams):
    async with Server() as server:
        server.write("gateway.yaml", gateway())
        server.write("echo.yaml", echo(echo_upstreams.port("echo-a")))
        await server.start()

        async def served() -> bool:
            return (await server.get("echo.test")).status == 200

        await server.until(served, "the upstream answers")
        (envoy,) = (await server.status())["envoys"]
        slow = asyncio.create_task(server.get("echo.test", "/slow?delay=1500ms"))
        await echo_upstreams["echo-a"].saw(lambda seen: seen.path.startswith("/slow"), 5)
        assert await server.stop(how) == 0
        assert slow.done()
        assert (await slow).status == 200
        assert not alive(envoy["pid"])
        assert (await server.get("echo.test")).outcome is Outcome.REFUSED
        assert "Traceback" not in server.log()


async def test_a_killed_control_plane_takes_its_envoys_along(envoy_binary):
    async with Server() as server:
        server.write("gateway.yaml", gateway())
        await server.start()
        (envoy,) = (await server.status())["envoys"]
        await server.stop(signal.SIGKILL)

        async def gone() -> bool:
            return not alive(envoy["pid"])

        await server.until(gone, "Envoy ends with its parent")


async def test_each_gateway_has_an_envoy_and_a_port_has_one_gateway(envoy_binary):
    async with Server() as server:
        server.write("gateway.yaml", gateway())
        server.write("a.yaml", route("a", "first"))
        await server.start()
        await server.answers("a.test", "first")
        server.write("inner.yaml", gateway("inner", port=81))
        server.write("b.yaml", route("b", "second", "inner"))
        await server.answers("b.test", "second", port=81)
        envoys = {one["gateway"]: one["pid"] for one in (await server.status())["envoys"]}
        assert envoys.keys() == {"edge/edge", "edge/inner"}

        server.write("thief.yaml", gateway("another", port=80))

        async def told() -> list[dict]:
            return list((await server.status())["problems"])

        (problem,) = await server.until(told, "the conflict is told")
        bound = server.ports[80]
        assert problem["field"] == "spec.listeners[0].port"
        assert problem["message"].startswith(f"port {bound} of this machine belongs to EdgeGateway edge/edge, so use")
        async with Load([_fixed(server)], rate=100) as load:
            await load.more(100)
        load.assert_clean()

        (server.folder / "inner.yaml").unlink()

        async def one_left() -> bool:
            return not alive(envoys["edge/inner"])

        await server.until(one_left, "the Envoy of the gateway that is gone has ended")
        (server.folder / "gateway.yaml").unlink()
        server.write("a.yaml", route("a", "third", "another"))
        await server.answers("a.test", "third")
        assert await told() == []


def _fixed(server: Server) -> Kind:
    def judge(reply, _due: float) -> str:
        return "" if reply.body == b"first" else f"{reply.status} {reply.body!r}"

    return Kind("a", Target(("127.0.0.1", server.ports[80])), "a.test", keep=False, judge=judge)


async def test_an_own_envoy_serves_without_control_plane_and_a_new_one_pushes_nothing(envoy_binary):
    async with Server(envoy=False) as server:
        server.write("gateway.yaml", gateway(pop="ams1"))
        server.write("a.yaml", route("a", "first"))
        await server.start()
        xds = server.whereabouts()["xds"]
        code, text, _ = await run("bootstrap", str(server.folder), "--xds", xds, "--node", "own-1", "--admin", "unused")
        bootstrap = yaml.safe_load(text)
        assert code == 0
        assert bootstrap["node"]["metadata"] == {"gateway": "edge/edge", "pop": "ams1"}
        assert {"tag_name": "pop", "fixed_value": "ams1"} in bootstrap["stats_config"]["stats_tags"]
        async with EnvoyProcess(bootstrap) as envoy:
            await envoy.ready()
            await server.answers("a.test", "first")
            pushed = await envoy.stats(r"(lds|cds|rds).*update_success|_modified|_added|_removed")
            await server.stop(signal.SIGKILL)
            async with Load([_fixed(server)], rate=100) as load:
                await load.more(100)
                await server.start(xds)

                async def synced() -> bool:
                    gateways = (await server.status())["gateways"]
                    return any(proxy["syncedRevision"] >= 1 for one in gateways for proxy in one["proxies"])

                await server.until(synced, "the new control plane knows that the proxy is in sync")
                await load.more(50)
            load.assert_clean()
            after = await envoy.stats(r"(lds|cds|rds).*update_success|_modified|_added|_removed")
            assert {name: count for name, count in after.items() if "_modified" in name or "_added" in name} == {
                name: count for name, count in pushed.items() if "_modified" in name or "_added" in name
            }
            assert (await envoy.stats("update_rejected"))["listener_manager.lds.update_rejected"] == 0
            server.write("a.yaml", route("a", "second"))
            await server.answers("a.test", "second")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--xds", "nonsense"), 2, "'nonsense' is neither host:port nor unix:path"),
        (("--xds", "127.0.0.1:99999"), 2, "is neither host:port nor unix:path"),
        (("--status-listen", "here"), 2, "'here' is not host:port"),
        (("--bind", "localhost"), 2, "'localhost' is not an IP address"),
        (("--port", "80"), 2, "'80' is not LISTENER=BOUND"),
        (("--port", "80=0"), 2, "'80=0' is not LISTENER=BOUND"),
        (
            ("--envoy", "--envoy-path", "/nowhere/envoy"),
            1,
            "/nowhere/envoy, which is no executable file, so correct it",
        ),
        (("--xds", "192.0.2.1:1"), 1, "xDS cannot be served on 192.0.2.1:1: it is in use, or no address"),
        (("--xds", "127.0.0.1:0", "--status-listen", "192.0.2.1:1"), 1, "cannot assign requested address"),
    ],
)
async def test_options_that_cannot_work_end_it_with_a_sentence(options, code, said, tmp_path: Path):
    found, _, err = await run("serve", str(tmp_path), *options)
    assert found == code, err
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
