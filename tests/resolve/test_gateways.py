from __future__ import annotations

from typing import Any

import pytest
from tests.core.objects import Put, put
from tests.harness.certificates import TlsPairs

from northgate.api.conditions import Condition, Reason, Status, Type
from northgate.ops.scenery import Pair, secret
from northgate.resolve.gateways import ResolvedGateway
from northgate.resolve.hostnames import covers, intersection, narrower, overlap
from northgate.snapshot.edge import Edge


@pytest.fixture(scope="module")
def certificate() -> Put:
    pair = TlsPairs().issue("*.a.test")
    return secret("default", "pair", Pair(pair.certificate, pair.key, ""))


def resolved(*objects: Put) -> ResolvedGateway:
    edge = Edge()
    edge.apply(objects)
    assert not edge.engine.failures
    return edge.compiler.gateways["default", "edge"]


def gateway(*listeners: dict[str, Any]) -> Put:
    return put("EdgeGateway", "edge", {"listeners": list(listeners)})


def one(name: str, protocol: str, host: str = "*", port: int = 443) -> dict[str, Any]:
    """A listener; protocol `PASS` is TLS passthrough."""
    found: dict[str, Any] = {"name": name, "port": port, "protocol": "TLS" if protocol == "PASS" else protocol}
    if protocol == "PASS":
        found["tls"] = {"mode": "Passthrough"}
    elif protocol in ("HTTPS", "TLS"):
        found["tls"] = {"certificateRefs": [{"name": "pair"}]}
    return found if host == "*" else {**found, "hostname": host}


def said(gateway: ResolvedGateway, listener: str, kind: Type) -> Condition | None:
    conditions = next(one.conditions for one in gateway.listeners if one.name == listener)
    return next((c for c in conditions if c.type is kind), None)


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        pytest.param(("HTTP", "a.test"), ("HTTP", "b.test"), None, id="two hosts"),
        pytest.param(("HTTP", "*"), ("HTTP", "b.test"), None, id="every host and one"),
        pytest.param(("HTTP", "*.a.test"), ("HTTP", "x.a.test"), None, id="wildcard and exact"),
        pytest.param(("HTTP", "a.test"), ("HTTP", "a.test"), Reason.HOSTNAME_CONFLICT, id="same host"),
        pytest.param(("HTTP", "*"), ("HTTP", "*"), Reason.HOSTNAME_CONFLICT, id="every host twice"),
        pytest.param(("HTTP", "a.test"), ("HTTPS", "b.test"), Reason.PROTOCOL_CONFLICT, id="clear and TLS"),
        pytest.param(("HTTP", "a.test"), ("TCP", "*"), Reason.PROTOCOL_CONFLICT, id="requests and connections"),
        pytest.param(("TCP", "*"), ("TCP", "*"), Reason.HOSTNAME_CONFLICT, id="TCP twice"),
        pytest.param(("TCP", "*"), ("PASS", "a.test"), Reason.PROTOCOL_CONFLICT, id="TCP and TLS"),
        pytest.param(("HTTPS", "a.test"), ("PASS", "b.test"), None, id="HTTPS and passthrough"),
        pytest.param(("HTTPS", "a.test"), ("PASS", "a.test"), Reason.HOSTNAME_CONFLICT, id="both for one name"),
        pytest.param(("HTTPS", "a.test"), ("TLS", "*"), None, id="HTTPS and terminated TLS"),
        pytest.param(("HTTPS", "*.a.test"), ("HTTPS", "*.a.test"), Reason.HOSTNAME_CONFLICT, id="same wildcard"),
    ],
)
def test_which_listeners_stand_together(
    certificate: Put, first: tuple[str, str], second: tuple[str, str], conflict: Reason | None
) -> None:
    found = resolved(certificate, gateway(one("first", *first), one("second", *second), one("far", *second, port=444)))
    assert [listener.serves for listener in found.listeners] == [True, conflict is None, True]
    clash = said(found, "second", Type.CONFLICTED)
    accepted = said(found, "second", Type.ACCEPTED)
    assert (clash.reason if clash else None) == conflict
    assert accepted is not None
    assert accepted.status is (Status.TRUE if conflict is None else Status.FALSE)
    if clash is not None:
        assert clash.status is Status.TRUE
        assert accepted.reason is Reason.PORT_UNAVAILABLE
        assert "listener first" in clash.message
        assert clash.message.endswith(("use another port", "use another hostname or port"))


def test_a_listener_that_does_not_stand_conflicts_with_nobody() -> None:
    found = resolved(gateway(one("a", "HTTP", "a.test"), one("tcp", "TCP"), one("rest", "HTTP")))
    assert [listener.serves for listener in found.listeners] == [True, False, True]


@pytest.mark.parametrize(
    ("hosts", "overlapping"),
    [
        (("a.test", "b.test"), set()),
        (("*.a.test", "x.a.test"), {"0", "1"}),
        (("*.a.test", "a.test"), set()),
        (("*", "a.test", "b.test"), {"0", "1", "2"}),
        (("*.a.test", "*.b.a.test", "c.test"), {"0", "1"}),
    ],
)
def test_https_listeners_that_share_names_say_so(
    certificate: Put, hosts: tuple[str, ...], overlapping: set[str]
) -> None:
    listeners = [one(str(number), "HTTPS", host) for number, host in enumerate(hosts)]
    found = resolved(certificate, gateway(*listeners))
    told = {each.name: said(found, each.name, Type.OVERLAPPING_TLS_CONFIG) for each in found.listeners}
    assert {name for name, condition in told.items() if condition} == overlapping
    assert all(c.status is Status.TRUE and c.reason is Reason.OVERLAPPING_HOSTNAMES for c in told.values() if c)


def test_only_names_of_requests_overlap(certificate: Put) -> None:
    found = resolved(
        certificate,
        gateway(
            one("web", "HTTPS", "*.a.test"),
            one("pass", "PASS", "x.a.test"),
            one("clear", "HTTP", "x.a.test", 80),
            one("rest", "HTTP", port=80),
        ),
    )
    web = said(found, "web", Type.OVERLAPPING_TLS_CONFIG)
    assert web is not None
    assert "pass (x.a.test)" in web.message
    assert not [name for name in ("pass", "clear", "rest") if said(found, name, Type.OVERLAPPING_TLS_CONFIG)]


def test_which_certificates_are_used(certificate: Put) -> None:
    elsewhere = {**one("a", "HTTPS"), "tls": {"certificateRefs": [{"name": "pair", "namespace": "vault"}]}}
    opaque = put("Secret", "pair", None, type="Opaque", data={})
    for objects, reason, words in (
        ([certificate, gateway(one("a", "HTTPS"))], Reason.RESOLVED_REFS, ""),
        ([gateway(one("a", "HTTPS"))], Reason.INVALID_CERTIFICATE_REF, "Secret default/pair does not exist"),
        ([opaque, gateway(one("a", "HTTPS"))], Reason.INVALID_CERTIFICATE_REF, "its type must be kubernetes.io/tls"),
        ([gateway(elsewhere)], Reason.REF_NOT_PERMITTED, "a ReferenceGrant in namespace vault must allow EdgeGateway"),
    ):
        found = resolved(*objects)
        condition = said(found, "a", Type.RESOLVED_REFS)
        assert condition is not None
        assert condition.reason is reason
        assert words in condition.message
        assert found.listeners[0].serves is (reason is Reason.RESOLVED_REFS)
        assert found.listeners[0].accepted


@pytest.mark.parametrize("to", [{"kind": "Secret"}, {"kind": "Secret", "name": "pair"}])
def test_a_grant_opens_another_namespace(tls_pairs: TlsPairs, to: dict[str, str]) -> None:
    pair = tls_pairs.issue("a.test")
    elsewhere = {**one("a", "HTTPS"), "tls": {"certificateRefs": [{"name": "pair", "namespace": "vault"}]}}
    source = {"group": "northgate.dev", "kind": "EdgeGateway", "namespace": "default"}
    grant = put("ReferenceGrant", "g", {"from": [source], "to": [{"group": "", **to}]}, "vault")
    key, document = secret("vault", "pair", Pair(pair.certificate, pair.key, ""))
    assert resolved((key, document), grant, gateway(elsewhere)).listeners[0].serves


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*", "a.test", True),
        ("*", "*.a.test", True),
        ("*.a.test", "x.a.test", True),
        ("*.a.test", "x.y.a.test", True),
        ("*.a.test", "*.b.a.test", True),
        ("*.a.test", "*.a.test", True),
        ("*.a.test", "a.test", False),
        ("*.a.test", "xa.test", False),
        ("a.test", "*.a.test", False),
        ("a.test", "*", False),
    ],
)
def test_covers(pattern: str, host: str, *, expected: bool) -> None:
    assert covers(pattern, host) is expected
    assert narrower(host, pattern) is (expected and host != pattern)
    assert overlap(pattern, host) is (covers(pattern, host) or covers(host, pattern))


@pytest.mark.parametrize(
    ("listener", "hosts", "expected"),
    [
        ("*", ["b.test", "*.a.test"], ("*.a.test", "b.test")),
        ("*.a.test", ["*"], ("*.a.test",)),
        ("x.a.test", ["*.a.test", "y.a.test"], ("x.a.test",)),
        ("*.a.test", ["x.a.test", "a.test"], ("x.a.test",)),
        ("a.test", ["b.test"], ()),
    ],
)
def test_intersection(listener: str, hosts: list[str], expected: tuple[str, ...]) -> None:
    assert intersection(listener, hosts) == expected
