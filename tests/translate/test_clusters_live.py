"""Does a real Envoy treat backends as Upstreams say? TLS, rotation, limits, ejection, panic, HTTP/2 and dead names."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.core.objects import Put, put
from tests.harness.certificates import Pair, TlsPairs
from tests.harness.edge import EXAMPLES, RunningEdge
from tests.harness.h2_upstream import H2Echo

from northgate.ops.echo_server import EchoUpstreams
from northgate.ops.exchange import Request, Target
from northgate.ops.requests import Client
from northgate.ops.table import read_table
from northgate.ops.table_run import run_table

pytestmark = pytest.mark.envoy


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with RunningEdge() as edge:
        await edge.serve([*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml")])
        yield edge


def upstream(**spec: Any) -> Put:
    return put("Upstream", "up", spec, "demo")


def route(**rule: Any) -> Put:
    rule.setdefault("backendRefs", [{"kind": "Upstream", "name": "up"}])
    parents = [{"name": "edge", "namespace": "edge"}]
    spec = {"parentRefs": parents, "hostnames": ["up.example.test"], "rules": [rule]}
    return put("Route", "up", spec, "demo")


def endpoint(edge: RunningEdge, name: str, **more: Any) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port": edge.upstreams.port(name), **more}


def authority(pairs: TlsPairs, name: str = "origin-ca") -> Put:
    return put("ConfigMap", name, None, "demo", data={"ca.crt": pairs.ca})


def identity(pair: Pair, name: str = "identity") -> Put:
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return put("Secret", name, None, "demo", type="kubernetes.io/tls", stringData=data)


async def ask(edge: RunningEdge, expect: Mapping[str, Any], query: str = "", **row: Any) -> None:
    """Send the requests of one table row; they must be answered as expected."""
    written = json.dumps({"get": f"http://up.example.test/{query}", "expect": expect, **row})
    results = run_table(read_table(f"# requests:\n# - {written}\n"), edge.place())
    failed = [result.message async for result in results if not result.passed]
    assert not failed, "\n".join(failed)


OK = {"status": 200}
ILL = {"status": 503, "body": "no healthy upstream"}


async def changes(edge: RunningEdge, *objects: Put) -> Mapping[str, Any]:
    """What a change of objects changes for Envoy, by the last word of the type."""
    stats = {"cds": "cluster_manager.cds.update_success", "lds": "listener_manager.lds.update_success"}
    before = await edge.envoy.stats("update_success|listener_modified|cluster_modified|key_rotation|ssl_context_update")
    await edge.apply(objects)
    after = await edge.envoy.stats("update_success|listener_modified|cluster_modified|key_rotation|ssl_context_update")
    changed = {name: count - before[name] for name, count in after.items() if count != before[name]}
    return {short: changed.pop(stat, 0) for short, stat in stats.items()} | changed


@pytest.fixture
async def origin(tls_pairs: TlsPairs, tmp_path: Path) -> AsyncIterator[EchoUpstreams]:
    """An origin with TLS that demands a client certificate of the authority."""
    pair = tls_pairs.issue("origin.example.net")
    async with EchoUpstreams(("origin",), tls=pair.echo_tls(tmp_path)) as upstreams:
        served = upstreams._http["origin"]._tls
        assert served is not None
        served.context.load_verify_locations(cadata=tls_pairs.ca)
        served.context.verify_mode = ssl.CERT_OPTIONAL
        yield upstreams


def secured(origin: EchoUpstreams | int, **tls: Any) -> Put:
    port = origin if isinstance(origin, int) else origin.port("origin")
    tls = {"sni": "origin.example.net", "caCertificateRefs": [{"kind": "ConfigMap", "name": "origin-ca"}], **tls}
    return upstream(static=[{"address": "127.0.0.1", "port": port}], tls=tls)


async def test_a_verified_origin_is_spoken_to_by_its_name(edge, origin, tls_pairs) -> None:
    await edge.apply([authority(tls_pairs), secured(origin), route()])
    await ask(edge, {**OK, "sni": "origin.example.net"})


@pytest.mark.parametrize(
    ("tls", "stat"),
    [
        ({"subjectAltNames": ["other.example.net"]}, "fail_verify_san"),
        ({"sni": "other.example.net"}, "fail_verify_san"),
        ({"subjectAltNames": ["spiffe://example.net/origin"]}, "fail_verify_san"),
    ],
)
async def test_an_origin_of_another_name_gets_no_request(edge, origin, tls_pairs, tls, stat) -> None:
    await edge.apply([authority(tls_pairs), secured(origin, **tls), route()])
    await ask(edge, {"status": 503})
    assert (await edge.envoy.stats(stat))["cluster.demo/up.ssl.fail_verify_san"] > 0
    assert origin["origin"].requests == 0


async def test_an_origin_of_another_authority_gets_no_request_until_its_authority_is_trusted(
    edge, origin, tls_pairs
) -> None:
    await edge.apply([authority(TlsPairs()), secured(origin), route()])
    await ask(edge, {"status": 503})
    assert (await edge.envoy.stats("fail_verify"))["cluster.demo/up.ssl.fail_verify_error"] > 0

    changed = await changes(edge, authority(tls_pairs))
    await ask(edge, OK)
    assert (changed.pop("cds"), changed.pop("lds")) == (0, 0), changed
    assert not [name for name in changed if "rds" in name or "modified" in name], changed


async def test_without_an_authority_or_identity_rules_answer_500_and_serve_once_it_is_there(
    edge, origin, tls_pairs
) -> None:
    await edge.apply([secured(origin, clientCertificateRef={"name": "identity"}), route()])
    await ask(edge, {"status": 500})
    await edge.apply([authority(tls_pairs)])
    await ask(edge, {"status": 500})
    await edge.apply([identity(tls_pairs.issue("edge.example.net"))])
    await ask(edge, OK)


async def test_the_edge_shows_its_certificate_and_rotates_it_by_one_secret(edge, origin, tls_pairs) -> None:
    served = origin._http["origin"]._tls
    served.context.verify_mode = ssl.CERT_REQUIRED
    shown = identity(tls_pairs.issue("edge.example.net"))
    await edge.apply([authority(tls_pairs), secured(origin), route()])
    await ask(edge, {"status": 503})
    await edge.apply([shown, secured(origin, clientCertificateRef={"name": "identity"})])
    await ask(edge, OK)

    changed = await changes(edge, identity(tls_pairs.issue("edge.example.net")))
    await ask(edge, OK)
    assert (changed.pop("cds"), changed.pop("lds")) == (0, 0), changed
    assert changed, "the certificate was rotated"


async def test_limits_count_connections_and_waiting_requests(edge) -> None:
    limits = {"maxConnections": 2, "maxPendingRequests": 2}
    await edge.apply([upstream(static=[endpoint(edge, "echo-a")], circuitBreaker=limits), route()])
    # Requests that wait for a connection to be made count as waiting, so both connections are made beforehand.
    await ask(edge, OK, "?delay=300ms", times=2, parallel=2)
    await ask(edge, {"shares": {"echo-a": 4, "503": 8}}, "?delay=400ms", times=12, parallel=12)
    stats = await edge.envoy.stats("cluster.demo/up")
    assert stats["cluster.demo/up.upstream_rq_pending_overflow"] == 8
    assert stats["cluster.demo/up.upstream_cx_total"] == 2


async def test_panic_sends_requests_to_ill_endpoints_unless_the_threshold_is_zero(edge) -> None:
    active = {"http": {"path": "/healthz"}, "interval": "200ms", "unhealthyThreshold": 1}
    for name in ("echo-a", "echo-b"):
        edge.upstreams[name].healthy = False
    endpoints = [endpoint(edge, "echo-a"), endpoint(edge, "echo-b")]
    await edge.apply([upstream(static=endpoints, healthCheck={"active": active}), route()])
    await ask(edge, OK)
    await edge.apply([upstream(static=endpoints, healthCheck={"active": active, "panicThreshold": 0})])
    await ask(edge, ILL)

    edge.upstreams["echo-b"].healthy = True

    async def found() -> bool:
        return (await edge.envoy.stats("membership_healthy"))["cluster.demo/up.membership_healthy"] == 1

    await edge.envoy.wait_for(found, "the endpoint that is well again is used")
    await ask(edge, {**OK, "upstream": "echo-b"}, times=10)


async def test_an_ill_endpoint_is_ejected(edge) -> None:
    passive = {"consecutiveGatewayErrors": 3, "interval": "1s", "ejection": {"base": "30s"}}
    endpoints = [endpoint(edge, "echo-a"), endpoint(edge, "echo-b")]
    await edge.apply([upstream(static=endpoints, healthCheck={"passive": passive}), route()])
    await ask(edge, {"shares": {"echo-a": [34, 37], "echo-b": [3, 6]}}, "?fail_at=echo-b", times=40)
    await ask(edge, {"upstream": "echo-a"}, "?fail_at=echo-b", times=20)
    stats = await edge.envoy.stats("outlier_detection.ejections")
    assert stats["cluster.demo/up.outlier_detection.ejections_active"] == 1


async def test_reserve_endpoints_serve_when_the_first_ones_are_gone_and_no_longer(edge) -> None:
    services = [{"name": "echo-a", "port": 80}, {"name": "echo-b", "port": 80, "priority": 7}]
    await edge.apply([upstream(services=services), route()])
    await ask(edge, {"upstream": "echo-a"}, times=10)
    slices = {key.name: (key, document) for key, document in edge.scenery() if key.kind == "EndpointSlice"}
    key, document = slices["echo-a-local"]

    changed = await changes(edge, (key, {**document, "endpoints": []}))
    await ask(edge, {"upstream": "echo-b"}, times=10)
    assert (changed["cds"], changed["lds"]) == (0, 0)
    await edge.apply([(key, document)])
    await ask(edge, {"upstream": "echo-a"}, times=10)


async def places(edge: RunningEdge) -> list[tuple[str, ...]]:
    """Where each of 300 users is served."""
    target = Target(("127.0.0.1", edge.ports[80]))
    async with Client() as client:
        users = [Request("GET", f"/?id={user}", "up.example.test") for user in range(300)]
        return [(await client.send(target, user)).header("x-echo-upstream") for user in users]


async def test_keys_stay_when_an_endpoint_leaves(edge) -> None:
    names = ("echo-a", "echo-b", "echo-c")
    by_user = {"consistentHash": {"queryParam": "id"}}
    await edge.apply([upstream(static=[endpoint(edge, name) for name in names], loadBalancer=by_user), route()])
    before = await places(edge)
    assert {name: before.count((name,)) > 50 for name in names} == dict.fromkeys(names, True)

    await edge.apply([upstream(static=[endpoint(edge, name) for name in names[:2]], loadBalancer=by_user)])
    after = await places(edge)
    stayed = [(old, new) for old, new in zip(before, after, strict=True) if old != ("echo-c",)]
    assert sum(old != new for old, new in stayed) <= 6


async def test_http2_and_grpc_health_checks_reach_an_http2_origin(edge) -> None:
    async with H2Echo("h2") as origin:
        spec = {"static": [{"address": "127.0.0.1", "port": origin.port}], "protocol": "HTTP2"}
        active = {"http": {"path": "/healthz"}, "interval": "200ms"}
        await edge.apply([upstream(**spec, healthCheck={"active": active, "panicThreshold": 0}), route()])
        await ask(edge, {**OK, "upstream": "h2"})
        grpc = {"grpc": {"service": "echo"}, "interval": "200ms"}
        await edge.apply([upstream(**spec, healthCheck={"active": grpc, "panicThreshold": 0})])
        await ask(edge, ILL)


@pytest.mark.parametrize(
    ("protocol", "offered"), [("Auto", "h2"), ("Auto", "http/1.1"), ("HTTP2", "h2"), ("HTTP1", "http/1.1")]
)
async def test_protocols_over_tls_are_agreed_on(edge, tls_pairs, tmp_path, protocol, offered) -> None:
    alpn = ("h2", "http/1.1") if protocol == "HTTP1" else (offered,)
    tls = tls_pairs.issue("origin.example.net").echo_tls(tmp_path, alpn)
    server = H2Echo("origin", tls) if offered == "h2" else EchoUpstreams(("origin",), tls=tls)
    async with server as origin:
        port = origin.port if isinstance(origin, H2Echo) else origin.port("origin")
        spec = secured(port)[1]["spec"]
        # An origin that speaks HTTP/2 alone has no answer for the check of `Auto`, which is made by HTTP/1.
        kind = {"tcp": {}} if (protocol, offered) == ("Auto", "h2") else {"http": {"path": "/healthz"}}
        health = {"active": {**kind, "interval": "200ms"}, "panicThreshold": 0}
        await edge.apply([authority(tls_pairs), upstream(**spec, protocol=protocol, healthCheck=health), route()])
        await ask(edge, {**OK, "upstream": "origin"})


async def test_a_name_that_does_not_resolve_answers_503_and_holds_up_nobody(edge) -> None:
    rules = [{"backendRefs": [{"name": "echo-a", "port": 80}]}]
    other = put("Route", "other", {**route()[1]["spec"], "hostnames": ["other.example.test"], "rules": rules}, "demo")
    await edge.apply([upstream(dns={"hostname": "no-such-name.invalid", "port": 80}), route(), other])
    await ask(edge, OK, get="http://other.example.test/")
    await ask(edge, {"status": 503})
