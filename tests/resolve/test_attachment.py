from __future__ import annotations

from typing import Any

import pytest
from tests.core.objects import Put, put, service, to

from northgate.api.conditions import Reason, Status
from northgate.resolve.attachment import Parent, Table
from northgate.snapshot.edge import Edge

EVERYONE = {"namespaces": {"from": "All"}}


def listener(name: str, protocol: str = "HTTP", port: int = 80, **more: Any) -> dict[str, Any]:
    return {"name": name, "protocol": protocol, "port": port, "allowedRoutes": EVERYONE, **more}


def gateway(*listeners: dict[str, Any]) -> Put:
    return put("EdgeGateway", "edge", {"listeners": list(listeners)}, "edge")


def route(*hostnames: str, namespace: str = "shop", rules: Any = None, **parent: Any) -> Put:
    ref = {"name": "edge", "namespace": "edge", **parent}
    hosts = {"hostnames": list(hostnames)} if hostnames else {}
    return put("Route", "r", {"parentRefs": [ref], **hosts, "rules": rules or [to("web")]}, namespace)


def attached(*objects: Put, namespace: str = "shop") -> Parent:
    edge = Edge()
    edge.apply([service("web", namespace), *objects])
    assert not edge.engine.failures
    return edge.compiler.parents[namespace, "r"][0]


def hosts(parent: Parent) -> dict[str, tuple[str, ...]]:
    return {one.listener: one.hosts for one in parent.attachments}


def refusal(parent: Parent) -> Reason | None:
    assert (parent.accepted.status is Status.TRUE) == bool(parent.attachments)
    return None if parent.attachments else parent.accepted.reason


@pytest.mark.parametrize(
    ("rule", "labels", "allowed"),
    [
        pytest.param(None, {}, False, id="absent"),
        pytest.param({"from": "Same"}, {}, False, id="same"),
        pytest.param({"from": "All"}, {}, True, id="all"),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}, {"edge": "yes"}, True, id="fits"
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}, {"edge": "no"}, False, id="value"
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}, None, False, id="no namespace"
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"edge": "yes", "tier": "web"}}},
            {"edge": "yes"},
            False,
            id="one of two",
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}},
            {},
            True,
            id="by name",
        ),
    ],
)
def test_whose_routes_may_attach(rule: Any, labels: dict[str, str] | None, *, allowed: bool) -> None:
    block = {} if rule is None else {"namespaces": rule}
    objects = [gateway({**listener("http"), "allowedRoutes": block}), route("a.test")]
    if labels is not None:
        objects.append(put("Namespace", "shop", None, "", metadata={"labels": labels}))
    parent = attached(*objects)
    assert refusal(parent) is (None if allowed else Reason.NOT_ALLOWED_BY_LISTENERS)
    assert allowed or "allows Routes from namespace shop" in parent.accepted.message


def test_the_gateways_own_namespace_is_always_the_same() -> None:
    assert attached(
        gateway({**listener("http"), "allowedRoutes": {}}), route(namespace="edge"), namespace="edge"
    ).attachments


@pytest.mark.parametrize(
    ("namespace", "asked", "got", "complaints"),
    [
        ("shop", ["www.shop.test"], ("www.shop.test",), 0),
        ("blog", ["www.shop.test"], (), 1),
        ("blog", ["blog.test"], ("blog.test",), 0),
        ("blog", ["blog.test", "www.shop.test"], ("blog.test",), 1),
        ("blog", ["shop.test"], ("shop.test",), 0),
        ("shop", ["*.shop.test"], ("*.shop.test",), 0),
        ("blog", ["*.shop.test"], (), 1),
        ("blog", ["a.b.shop.test"], (), 1),
    ],
)
def test_delegated_hostnames(namespace: str, asked: list[str], got: tuple[str, ...], complaints: int) -> None:
    delegation = [{"namespaces": ["shop"], "hostnames": ["*.shop.test"]}]
    one = {**listener("http"), "allowedRoutes": {**EVERYONE, "hostnames": delegation}}
    parent = attached(gateway(one), route(*asked, namespace=namespace), namespace=namespace)
    assert hosts(parent).get("http", ()) == got
    assert refusal(parent) is (None if got else Reason.NOT_ALLOWED_BY_LISTENERS)
    assert len(parent.problems) == (complaints if got else 0)


def test_a_wildcard_does_not_swallow_delegated_hostnames() -> None:
    delegation = [{"namespaces": ["shop"], "hostnames": ["pay.test", "*.shop.test"]}]
    one = {**listener("http"), "allowedRoutes": {**EVERYONE, "hostnames": delegation}}
    edge = Edge()
    edge.apply([gateway(one), service("web", "shop"), service("web", "blog"), route(namespace="blog")])
    table = Table(("edge", "edge"), 80, "")
    assert [host for host, _ in edge.compiler.reserved[table]] == ["*.shop.test", "pay.test"]
    edge.apply([route("pay.test", namespace="shop")])
    assert [host for host, _ in edge.compiler.reserved[table]] == ["*.shop.test"]


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ({}, {"http", "https"}),
        ({"sectionName": "http"}, {"http"}),
        ({"port": 443}, {"https"}),
        ({"sectionName": "tls"}, {"tls"}),
        ({"sectionName": "tls", "port": 443}, set()),
        ({"port": 8443}, set()),
        ({"sectionName": "gone"}, set()),
    ],
)
def test_which_listeners_are_meant(parent: dict[str, Any], expected: set[str]) -> None:
    passthrough = listener("tls", "TLS", 8443, tls={"mode": "Passthrough"})
    secure = listener("https", "HTTPS", 443, tls={"certificateRefs": [{"name": "pair"}]})
    found = attached(gateway(listener("http"), secure, passthrough, listener("tcp", "TCP", 9000)), route(**parent))
    assert set(hosts(found)) == expected
    assert refusal(found) is (None if expected else Reason.NO_MATCHING_PARENT)


def test_no_gateway() -> None:
    assert refusal(attached(route())) is Reason.NO_MATCHING_PARENT


def test_a_refused_listener_is_no_way_in() -> None:
    mine = {**listener("mine", hostname="a.test"), "allowedRoutes": {"namespaces": {"from": "Same"}}}
    parent = attached(gateway(mine, listener("open", hostname="a.test")), route(sectionName="open"))
    assert refusal(parent) is Reason.NO_MATCHING_PARENT
    assert "listener open of EdgeGateway edge/edge is itself not accepted" in parent.accepted.message


def test_a_hostname_belongs_to_the_most_specific_listener() -> None:
    wide, narrow = listener("wide", hostname="*.a.test"), listener("narrow", hostname="pay.a.test")
    closed = {**narrow, "allowedRoutes": {"namespaces": {"from": "Same"}}}
    asked = route("pay.a.test", "www.a.test")
    assert hosts(attached(gateway(wide, narrow), asked)) == {"wide": ("www.a.test",), "narrow": ("pay.a.test",)}
    parent = attached(gateway(wide, closed), asked)
    assert hosts(parent) == {"wide": ("www.a.test",)}
    [problem] = parent.problems
    belongs = "pay.a.test belongs to listener narrow, whose hostname pay.a.test is more specific; attach to it"
    assert str(problem) == f"spec.hostnames: {belongs}"
    alone = attached(gateway(wide, closed), route("pay.a.test", sectionName="wide"))
    assert refusal(alone) is Reason.NO_MATCHING_LISTENER_HOSTNAME


def test_no_hostname_in_common() -> None:
    parent = attached(gateway(listener("http", hostname="*.a.test")), route("b.test"))
    assert refusal(parent) is Reason.NO_MATCHING_LISTENER_HOSTNAME
    assert parent.accepted.message.startswith("spec.hostnames: none of b.test is served by the listeners, ")


@pytest.mark.parametrize(
    ("asked", "rules", "path"),
    [
        (["a.test"], [to("web")], "spec.hostnames"),
        ([], [to("web", "/a")], "spec.rules[0].matches"),
        ([], [to("web"), to("web")], "spec.rules[1]"),
        ([], [{"respond": {"status": 200}}], "spec.rules[0].respond"),
        ([], [to("web", retry={"attempts": 1})], "spec.rules[0].retry"),
    ],
)
def test_what_a_connection_cannot_have(asked: list[str], rules: Any, path: str) -> None:
    parent = attached(gateway(listener("tcp", "TCP", 9000)), route(*asked, rules=rules, sectionName="tcp"))
    assert refusal(parent) is Reason.UNSUPPORTED_VALUE
    assert parent.accepted.message.startswith(f"{path}: ")
