from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.envoy import EnvoyError, Options, StartEnvoy, validate
from tests.harness.ports import HeldPorts
from tests.harness.static_envoy import bootstrap, cluster, http_listener, route, tcp_listener

from northgate.ops.echo_server import EchoUpstreams
from northgate.ops.exchange import Outcome, Request, Target
from northgate.ops.requests import Client
from northgate.ops.table import read_table
from northgate.ops.table_run import Place, run_table

TABLE = r"""
# What a static edge answers.
# requests:
# - get: http://a.example.test/x/%2e%2e//y?z=1
#   headers: {x-in: "1"}
#   expect:
#     status: 200
#     upstream: echo-a
#     path: /x/%2e%2e//y?z=1
#     headers: {server: envoy, x-out: out, x-absent: null, content-type: /json$/}
#     sees: {x-in: "1", x-envoy-expected-rq-timeout-ms: /\d+/, x-none: null, host: a.example.test}
#     body: '/"method": "GET"/'
# - post: http://a.example.test/retried?fail_first=2&key=r
#   body: hello
#   expect: {status: 200, body: '/"body": "hello"/'}
# - get: http://a.example.test/once?fail_first=1&key=o
#   expect: {status: 503, upstream: echo-a}
# - get: http://unknown.example.test/
#   expect: {status: 404, body: ""}
# - get: http://a.example.test/slow?delay=5s
#   expect: {status: 504, seconds: [0.15, 3]}
# - get: http://a.example.test/split
#   times: 200
#   parallel: 10
#   expect: {status: 200, shares: {echo-a: [120, 190], echo-b: [10, 80]}}
# - get: http://a.example.test/mirrored
#   expect: {upstream: echo-a, shadowed: echo-b}
# - get: https://tls.example.test/
#   expect: {upstream: echo-b, sees: {x-forwarded-proto: https}}
# - get: https://tls.example.test/
#   http: 2
#   times: 3
#   expect: {status: 200, upstream: echo-b}
# - get: http://a.example.test/
#   http: 2
#   expect: {upstream: echo-a}
# - get: https://stranger.example.test/
#   expect: {outcome: handshake}
# - get: http://a.example.test:81/
#   expect: {outcome: refused}
# - tcp: db.example.test:5432
#   send: "hello\n"
#   expect: {line: tcp-a}
listeners: the first line that is no comment ends the table
"""


def edge(ups: EchoUpstreams, pairs: TlsPairs) -> dict[str, object]:
    split = {"clusters": [{"name": "echo-a", "weight": 80}, {"name": "echo-b", "weight": 20}]}
    copy = [{"cluster": "echo-b", "disable_shadow_host_suffix_append": True}]
    retry = {"retry_on": "5xx", "num_retries": 2}
    routes = [
        route("/retried", {"cluster": "echo-a", "retry_policy": retry}),
        route("/slow", {"cluster": "echo-a", "timeout": "0.2s"}),
        route("/split", {"weighted_clusters": split}),
        route("/mirrored", {"cluster": "echo-a", "request_mirror_policies": copy}),
        route("/", "echo-a", response_headers_to_add=[{"header": {"key": "x-out", "value": "out"}}]),
    ]
    names = ("echo-a", "echo-b", "tcp-a")
    return bootstrap(
        [
            http_listener("http", {"a.example.test": routes}),
            http_listener("https", {"*": [route("/", "echo-b")]}, pairs.issue("tls.example.test")),
            tcp_listener("tcp", "tcp-a"),
        ],
        [cluster(name, ups.port(name)) for name in names],
    )


async def test_a_request_table_holds_through_a_real_envoy(
    echo_upstreams: EchoUpstreams, envoys: StartEnvoy, tls_pairs: TlsPairs, tmp_path: Path, free_port: HeldPorts
) -> None:
    envoy = await envoys(edge(echo_upstreams, tls_pairs))
    at = await envoy.listeners()
    addresses = {80: at["http"], 443: at["https"], 5432: at["tcp"], 81: ("127.0.0.1", free_port())}
    place = Place(addresses, ca=tls_pairs.write_ca(tmp_path), upstreams=echo_upstreams, seconds=20)
    results = [result async for result in run_table(read_table(TABLE), place)]
    assert len(results) == 13
    assert not [result.message for result in results if not result.passed]


async def test_admin_tells_stats_clusters_config_and_build(
    echo_upstreams: EchoUpstreams, envoys: StartEnvoy, tls_pairs: TlsPairs
) -> None:
    envoy = await envoys(edge(echo_upstreams, tls_pairs))
    async with Client() as client:
        await client.send(Target((await envoy.listeners())["http"]), Request("GET", "/", "a.example.test"))

    async def counted() -> bool:
        return (await envoy.stats("upstream_rq_200"))["cluster.echo-a.upstream_rq_200"] == 1

    await envoy.wait_for(counted, "the request is counted")
    assert (await envoy.stats("no_such_stat"))["no_such_stat"] == 0
    assert set(await envoy.clusters()) == {"echo-a", "echo-b", "tcp-a"}
    assert len((await envoy.config_dump())["ListenersConfigDump"]["static_listeners"]) == 3
    assert (await envoy.server_info())["state"] == "LIVE"
    assert envoy.admin_path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(EnvoyError, match="404"):
        await envoy.admin("/no_such_page")


async def test_a_stopped_envoy_is_gone_with_its_folder(envoys: StartEnvoy) -> None:
    envoy = await envoys(bootstrap([http_listener("http", {})], []))
    address = (await envoy.listeners())["http"]
    await envoy.stop()
    assert envoy.returncode == 0
    assert not envoy.folder.exists()
    async with Client() as client:
        assert (await client.send(Target(address), Request("GET", "/", "a"))).outcome is Outcome.REFUSED


async def test_an_envoy_that_refuses_its_bootstrap_says_why(envoys: StartEnvoy) -> None:
    with pytest.raises(EnvoyError, match=r"(?s)Envoy ended with 1 before.*no\s+such\s+field:\s+.nonsense"):
        await envoys({"static_resources": {"nonsense": []}})


async def test_an_envoy_that_dies_ends_every_wait(envoys: StartEnvoy) -> None:
    envoy = await envoys(bootstrap([], []))
    await envoy.kill()

    async def never() -> bool:
        return False

    with pytest.raises(EnvoyError, match="Envoy ended with -9 before: never"):
        await envoy.wait_for(never, "never", deadline=60)


async def test_two_envoys_run_side_by_side_with_hot_restart(envoys: StartEnvoy) -> None:
    options = Options(arguments=("--use-dynamic-base-id",), hot_restart=True)
    both = [await envoys(bootstrap([], []), options) for _ in range(2)]
    assert len({envoy.pid for envoy in both}) == 2


async def test_envoy_listens_on_a_held_port_and_nobody_else_gets_it(envoys: StartEnvoy, free_port: HeldPorts) -> None:
    port = free_port()
    envoy = await envoys(bootstrap([http_listener("http", {}, port=port)], []))
    assert (await envoy.listeners())["http"] == ("127.0.0.1", port)
    assert port not in {free_port() for _ in range(200)}
    async with Client() as client:
        replies = [
            await client.send(Target(("127.0.0.1", port)), Request("GET", "/", "a"), keep=False) for _ in "12345"
        ]
    assert [reply.status for reply in replies] == [404] * 5


async def test_validate_takes_a_good_config_and_says_what_is_wrong_with_a_bad_one(
    envoy_binary: Path, tls_pairs: TlsPairs, tmp_path: Path
) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("static_resources: {listeners: []}")
    assert await validate(good) is None
    assert "nonsense" in (await validate("nonsense: 1") or "")
    mismatched = http_listener("https", {"*": []}, tls_pairs.mismatched)
    assert "KEY_VALUES_MISMATCH" in (await validate(bootstrap([mismatched], [])) or "")
