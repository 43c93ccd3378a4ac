"""Objects for tests of the core: short constructors of documents, and strategies of whole worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from northgate.world.key import ObjectKey

Put = tuple[ObjectKey, Mapping[str, Any]]
GROUPS = {"EdgeGateway": "northgate.dev", "Route": "northgate.dev", "Upstream": "northgate.dev"}


def put(kind: str, name: str, spec: Any = None, namespace: str = "default", **more: Any) -> Put:
    group = GROUPS.get(kind, {"EndpointSlice": "discovery.k8s.io", "ReferenceGrant": "northgate.dev"}.get(kind, ""))
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    document = {"apiVersion": "northgate.dev/v1alpha1", "kind": kind, "metadata": metadata, **more}
    if spec is not None:
        document["spec"] = spec
    return ObjectKey(group, kind, "" if kind == "Namespace" else namespace, name), document


def gateway(name: str = "edge", namespace: str = "default", **spec: Any) -> Put:
    everyone = {"namespaces": {"from": "All"}}
    spec.setdefault("listeners", [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everyone}])
    return put("EdgeGateway", name, spec, namespace)


def service(name: str, namespace: str = "default", port: int = 80) -> Put:
    return put("Service", name, {"ports": [{"name": "web", "port": port}]}, namespace)


def endpoints(service_name: str, *addresses: str, namespace: str = "default", port: int = 8080) -> Put:
    return put(
        "EndpointSlice",
        f"{service_name}-1",
        None,
        namespace,
        addressType="IPv4",
        ports=[{"name": "web", "port": port}],
        endpoints=[{"addresses": [address]} for address in addresses],
        metadata={"labels": {"kubernetes.io/service-name": service_name}},
    )


def route(name: str, *rules: Mapping[str, Any], namespace: str = "default", **spec: Any) -> Put:
    spec.setdefault("parentRefs", [{"name": "edge", "namespace": "default"}])
    return put("Route", name, {**spec, "rules": list(rules) or [to("web")]}, namespace)


def to(service_name: str, path: str | None = None, **more: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"backendRefs": [{"name": service_name, "port": 80}], **more}
    if path is not None:
        rule["matches"] = [{"path": {"value": path}}]
    return rule


NAMES = st.sampled_from(["a", "b", "c"])
NAMESPACES = st.sampled_from(["default", "shop"])
HOSTS = st.lists(st.sampled_from(["a.example", "b.example", "*.example", "x.a.example"]), max_size=2, unique=True)


@st.composite
def routes(draw: st.DrawFn) -> Put:
    matches = st.fixed_dictionaries(
        {"path": st.fixed_dictionaries({"value": st.sampled_from(["/", "/a", "/a/b"])})},
        optional={
            "method": st.sampled_from(["GET", "POST"]),
            "clientAddresses": st.just(["10.0.0.0/8"]),
            "percent": st.sampled_from(["10", "50"]),
        },
    )
    action = st.one_of(
        st.fixed_dictionaries(
            {
                "backendRefs": st.lists(
                    st.fixed_dictionaries(
                        {"name": NAMES, "port": st.sampled_from([80, 81])},
                        optional={"weight": st.integers(0, 3), "namespace": NAMESPACES},
                    ),
                    min_size=1,
                    max_size=2,
                )
            },
            optional={"retry": st.just({"attempts": 1, "budget": {"percent": "20"}})},
        ),
        st.just({"respond": {"status": 204}}),
        st.just({"rewrite": {"path": {"replacePrefix": "/x"}}, "backendRefs": [{"name": "a", "port": 80}]}),
        st.just({"backendRefs": [{"kind": "Upstream", "name": "up"}]}),
        st.just({"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "respond": {"status": 200}}),
    )
    rules = draw(
        st.lists(
            st.builds(lambda m, a: {"matches": m, **a}, st.lists(matches, min_size=1, max_size=2), action),
            min_size=1,
            max_size=2,
        )
    )
    spec: dict[str, Any] = {
        "parentRefs": [{"name": draw(st.sampled_from(["edge", "edge", "other"])), "namespace": "default"}]
    }
    if hosts := draw(HOSTS):
        spec["hostnames"] = hosts
    return route(draw(NAMES), *rules, namespace=draw(NAMESPACES), **spec)


def _listener(port: int, allowed: Any) -> dict[str, Any]:
    return {"name": f"http-{port}", "port": port, "protocol": "HTTP", **({"allowedRoutes": allowed} if allowed else {})}


ALLOWED = st.sampled_from(
    [
        None,
        {"namespaces": {"from": "All"}},
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"edge": "yes"}}}},
        {"namespaces": {"from": "All"}, "hostnames": [{"namespaces": ["shop"], "hostnames": ["a.example"]}]},
    ]
)
GATEWAYS = st.builds(
    lambda name, ports, allowed, timeout: gateway(
        name,
        listeners=[_listener(port, allowed) for port in ports],
        **({"defaults": {"timeouts": {"request": timeout}}} if timeout else {}),
    ),
    st.sampled_from(["edge", "other"]),
    st.lists(st.sampled_from([80, 81, 82]), min_size=1, max_size=2, unique=True),
    ALLOWED,
    st.sampled_from([None, "1s"]),
)
OTHERS = st.one_of(
    st.builds(service, NAMES, NAMESPACES, st.sampled_from([80, 81])),
    st.builds(
        lambda name, ns, last: endpoints(name, f"10.0.0.{last}", namespace=ns), NAMES, NAMESPACES, st.integers(1, 3)
    ),
    st.builds(
        lambda label: put("Namespace", "shop", metadata={"labels": {"edge": label}}), st.sampled_from(["yes", "no"])
    ),
    st.builds(
        lambda kind: put(
            "ReferenceGrant",
            "grant",
            {
                "from": [{"group": "northgate.dev", "kind": "Route", "namespace": "shop"}],
                "to": [{"group": "", "kind": kind}],
            },
        ),
        st.sampled_from(["Service", "Secret"]),
    ),
    st.sampled_from(
        [
            put("Upstream", "up", {"static": [{"address": "10.0.0.9", "port": 80}]}),
            put("Upstream", "up", {"services": [{"name": "a", "port": 80}]}),
            put("Upstream", "up", {"static": [{"address": "nowhere", "port": 80}]}),
            put("Upstream", "up", {"static": []}),
        ]
    ),
)
PUTS = st.one_of(routes(), routes(), GATEWAYS, OTHERS)
