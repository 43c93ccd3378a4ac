"""What if every bad file there is lies in the folder? The good ones serve, and each bad one is told with its place."""

from __future__ import annotations

import json

import pytest
from tests.bad_input.cases import CORPUS, HERE
from tests.harness.load import Kind, Load
from tests.standalone.server import Server, route, run

from northgate.ops.exchange import Reply, Target
from northgate.ops.scenery import make_pair, secret

pytestmark = pytest.mark.envoy


@pytest.mark.slow
async def test_every_bad_file_at_once_disturbs_nobody(envoy_binary):
    # Gateways of their own have proxies of their own, which others test one by one.
    cases = [case for case in CORPUS if not any(b"kind: EdgeGateway" in content for content in case.files.values())]
    async with Server(ports=(80, 443)) as server:
        for name in ("gateway.yaml", "base.yaml"):
            server.write(f"0-good/{name}", (HERE / name).read_text())
        server.write("0-good/certificate.json", _certificate())
        await server.start()
        await server.answers("good.bad.test", "good")
        async with Load([_good(server)], rate=100) as load:
            await load.more(50)
            for case in cases:
                for name, content in case.files.items():
                    (server.folder / name).write_bytes(content)
            server.write("last.yaml", route("last", "last").replace("namespace: shop", "namespace: bad"))
            await server.answers("last.test", "last")
            await load.more(100)
        load.assert_clean(at_least=150)
        report = await server.status()
        told = {problem["file"].rpartition("/")[2] for problem in report["problems"] if "file" in problem}
        broken = {name for case in cases if case.group == "syntax" for name in case.files}
        assert broken - told == set()
        assert all(problem["message"] for problem in report["problems"])
        (gateway,) = report["gateways"]
        assert [proxy.get("lastRejection") for proxy in gateway["proxies"]] == [None]
        ready = {f"{one['kind']} {one['name']}": _ready(one) for one in report["objects"]}
        assert ready["EdgeGateway edge"] == ready["Route good"] == ready["Route secure"] == "True"
        code, table, _ = await run("status", "--server", server.whereabouts()["status"])
        assert code == 1
        assert table.count("✗ ") > 100


def _good(server: Server) -> Kind:
    def judge(reply: Reply, _due: float) -> str:
        return "" if reply.body == b"good" else f"{reply.status} {reply.body!r}"

    return Kind("good", Target(("127.0.0.1", server.ports[80])), "good.bad.test", judge=judge)


def _ready(found: dict) -> str:
    return next(c["status"] for c in found["status"]["conditions"] if c["type"] == "Ready")


def _certificate() -> str:
    return json.dumps(secret("edge", "example-tls", make_pair("*.example.test"))[1])
