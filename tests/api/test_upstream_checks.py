"""What is wrong with an Upstream, or a gateway's defaults for them, that the schema cannot say?"""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.objects import gateway, put

from northgate.api.parse import parse

STATIC = {"static": [{"address": "10.0.0.1", "port": 80}]}
PASSIVE = {"passive": {"interval": "99ms", "ejection": {"base": "25h"}}}
HASHED = {"consistentHash": {"cookie": {"name": "a", "ttl": "9601h"}}}


def problems(document: Any) -> list[str]:
    return [str(problem) for problem in parse("northgate.dev", document[1]["kind"], document[1]).problems]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(STATIC, [], id="good"),
        pytest.param(
            {"static": [{"address": "10.0.0", "port": 80}]},
            ["spec.static[0].address: '10.0.0' is not an IP address; for a name use dns"],
            id="no address",
        ),
        pytest.param(
            {"static": [{"address": "::ffff:169.254.169.254", "port": 80}]},
            [
                (
                    "spec.static[0].address: ::ffff:169.254.169.254 is a link-local, multicast, unspecified or "
                    "metadata address; use the address of an endpoint"
                )
            ],
            id="metadata",
        ),
        pytest.param(
            {"static": [{"address": "::ffff:192.0.2.7", "port": 80}]},
            [
                (
                    "spec.static[0].address: ::ffff:192.0.2.7 is an IPv4 address in IPv6's spelling, "
                    "to which proxies do not connect; write 192.0.2.7"
                )
            ],
            id="IPv4 as IPv6",
        ),
        pytest.param(
            {"static": [*STATIC["static"], {"address": "10.0.0.1", "port": 81}, *STATIC["static"]]},
            ["spec.static[2]: repeats static[0]; remove one of them"],
            id="repeated address",
        ),
        pytest.param(
            {"static": [{"address": "10.0.0.1", "port": 80, "weight": 2}], "loadBalancer": {"type": "Random"}},
            ["spec.static[0].weight: type Random knows no weights of endpoints; remove it or use another type"],
            id="weight without effect",
        ),
        pytest.param(
            {"services": [{"name": "a", "port": 80}, {"name": "a", "port": 80, "priority": 1}]},
            ["spec.services[1]: repeats services[0]; remove one of them"],
            id="repeated Service",
        ),
        pytest.param(
            {**STATIC, "connectTimeout": "0s", "idleTimeout": "25h"},
            [
                "spec.connectTimeout: 0s is out of range; write a time from 1ms to 5m",
                "spec.idleTimeout: 25h is out of range; write a time from 1ms to 24h",
            ],
            id="timeouts",
        ),
        pytest.param(
            {"dns": {"hostname": "a.example", "port": 80, "refresh": "999ms"}},
            ["spec.dns.refresh: 999ms is out of range; write a time from 1s to 24h"],
            id="refresh",
        ),
        pytest.param(
            {**STATIC, "loadBalancer": {"slowStart": {"window": "61m"}}},
            ["spec.loadBalancer.slowStart.window: 61m is out of range; write a time from 1ms to 1h"],
            id="window",
        ),
        pytest.param(
            {**STATIC, "loadBalancer": HASHED},
            ["spec.loadBalancer.consistentHash.cookie.ttl: 9601h is out of range; write a time from 0s to 9600h"],
            id="ttl",
        ),
        pytest.param(
            {**STATIC, "healthCheck": {"active": {"tcp": {}, "interval": "10ms", "timeout": "11s"}}},
            [
                "spec.healthCheck.active.interval: 10ms is out of range; write a time from 100ms to 1h",
                "spec.healthCheck.active.timeout: 11s is out of range; write a time from 10ms to 10s",
            ],
            id="active",
        ),
        pytest.param(
            {**STATIC, "healthCheck": PASSIVE},
            [
                "spec.healthCheck.passive.interval: 99ms is out of range; write a time from 100ms to 1h",
                "spec.healthCheck.passive.ejection.base: 25h is out of range; write a time from 1ms to 24h",
            ],
            id="passive",
        ),
        pytest.param(
            {**STATIC, "protocol": "Auto"},
            ["spec: protocol Auto asks endpoints by ALPN, which is part of TLS; set tls or another protocol"],
            id="Auto",
        ),
        pytest.param(
            {**STATIC, "tls": {"caCertificateRefs": [{"name": "ca"}]}},
            ["spec: tls.sni is required unless the endpoints come from dns"],
            id="no name",
        ),
        pytest.param(
            {**STATIC, "healthCheck": {"active": {"grpc": {}}}},
            ["spec: healthCheck.active.grpc needs protocol GRPC or HTTP2"],
            id="grpc over HTTP/1",
        ),
    ],
)
def test_problems_of_upstreams(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(put("Upstream", "up", spec)) == expected


def test_problems_of_what_a_gateway_hands_down() -> None:
    defaults = {"upstream": {"connectTimeout": "6m", "healthCheck": PASSIVE}}
    assert problems(gateway(defaults=defaults)) == [
        "spec.defaults.upstream.connectTimeout: 6m is out of range; write a time from 1ms to 5m",
        "spec.defaults.upstream.healthCheck.passive.interval: 99ms is out of range; write a time from 100ms to 1h",
        "spec.defaults.upstream.healthCheck.passive.ejection.base: 25h is out of range; write a time from 1ms to 24h",
    ]
