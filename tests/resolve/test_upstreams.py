"""What becomes of an Upstream's references, what is said of them, and what does a change of them cost?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.objects import Put, endpoints, gateway, put, route, service, to
from tests.harness.certificates import Pair, TlsPairs

from northgate.api.conditions import Reason, Type
from northgate.resolve.upstream_facts import UpstreamFacts
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import CLUSTER, ENDPOINT, ROUTE, SECRET, TYPES

TO_UP = {"backendRefs": [{"kind": "Upstream", "name": "up"}]}
ORIGIN = [{"address": "10.0.0.9", "port": 443}]


def upstream(**spec: Any) -> Put:
    return put("Upstream", "up", spec)


def secured(*refs: dict[str, str], **more: Any) -> Put:
    return upstream(static=ORIGIN, tls={"sni": "origin.example", "caCertificateRefs": list(refs), **more})


def config_map(pem: str, name: str = "ca", namespace: str = "default") -> Put:
    return put("ConfigMap", name, None, namespace, data={"ca.crt": pem})


def secret(pair: Pair, name: str = "me", kind: str = "kubernetes.io/tls") -> Put:
    return put("Secret", name, None, type=kind, stringData={"tls.crt": pair.certificate, "tls.key": pair.key})


def opaque(data: dict[str, str], name: str = "ca") -> Put:
    return put("Secret", name, None, type="Opaque", stringData=data)


def edge_with(*objects: Put) -> Edge:
    edge = Edge()
    edge.apply([gateway(), route("r", TO_UP), *objects])
    assert not edge.engine.failures
    return edge


def facts(edge: Edge) -> UpstreamFacts:
    found = edge.compiler.upstream_facts.get(("default", "up"))
    assert found is not None
    return found


def complaint(edge: Edge, kind: Type = Type.RESOLVED_REFS) -> tuple[Reason, str]:
    condition = next(one for one in facts(edge).conditions if one.type is kind)
    return condition.reason, condition.message


def served(edge: Edge, type_url: str) -> set[str]:
    return set(edge.resources(("default", "edge")).get(type_url, {}))


def changed(edge: Edge, *objects: Put) -> dict[str, set[str]]:
    """Names of what a change of objects changes or removes, by type."""
    delta = edge.apply(objects).get(("default", "edge"))
    types = delta.types if delta is not None else {}
    return {url: {*part.changed, *part.removed} for url, part in types.items()}


def test_resolved_references_are_said_to_be() -> None:
    edge = edge_with(upstream(services=[{"name": "web", "port": 80}]), service("web"), endpoints("web", "10.0.0.1"))
    assert complaint(edge) == (Reason.RESOLVED_REFS, "")
    assert complaint(edge, Type.ACCEPTED) == (Reason.ACCEPTED, "")
    assert served(edge, CLUSTER) == {"default/up"}


def test_a_missing_service_is_reported_and_the_others_serve() -> None:
    sources = [{"name": "gone", "port": 80}, {"name": "web", "port": 80}]
    edge = edge_with(upstream(services=sources), service("web"), endpoints("web", "10.0.0.1", "10.0.0.2"))
    reason, message = complaint(edge)
    assert reason is Reason.BACKEND_NOT_FOUND
    assert message.startswith("spec.services[0].name: Service default/gone does not exist")
    assert served(edge, CLUSTER) == {"default/up"}
    assert facts(edge).endpoints == 2


def test_a_missing_port_names_the_ports_there_are() -> None:
    sources = [{"name": "web", "port": 8}, {"name": "web", "port": 80}]
    edge = edge_with(upstream(services=sources), service("web"))
    reason, message = complaint(edge)
    assert reason is Reason.PORT_NOT_FOUND
    assert message.startswith("spec.services[0].port: Service default/web has no TCP port 8; it has 80")


def test_a_service_that_is_another_name_has_no_endpoints_and_dns_is_offered() -> None:
    alias = put("Service", "web", {"type": "ExternalName", "externalName": "a.test", "ports": [{"port": 80}]})
    edge = edge_with(upstream(services=[{"name": "web", "port": 80}]), route("s", to("web")), alias)
    reason, message = complaint(edge)
    assert reason is Reason.INVALID_KIND
    assert message.startswith("spec.services[0].name: Service default/web is of type ExternalName, ")
    assert "use an Upstream with dns" in message
    [problem] = edge.compiler.backends["default", "s"].problems
    assert problem.reason is Reason.INVALID_KIND
    assert not served(edge, CLUSTER)


def test_without_any_service_rules_answer_500_until_one_is_there() -> None:
    edge = edge_with(upstream(services=[{"name": "web", "port": 80}]))
    reason, message = complaint(edge)
    assert reason is Reason.BACKEND_NOT_FOUND
    assert "Service default/web does not exist" in message
    assert message.endswith("rules that need this Upstream answer 500")
    assert served(edge, CLUSTER) == set()
    edge.apply([service("web")])
    assert served(edge, CLUSTER) == {"default/up"}


CA = {"kind": "ConfigMap", "name": "ca"}


@pytest.mark.parametrize(
    ("objects", "ref", "reason", "told"),
    [
        pytest.param([], CA, Reason.INVALID_CA_CERTIFICATE_REF, "ConfigMap default/ca does not exist", id="missing"),
        pytest.param(
            [config_map("no certificate")],
            CA,
            Reason.INVALID_CA_CERTIFICATE_REF,
            "ConfigMap default/ca: data.ca.crt: holds no certificate in PEM",
            id="garbage",
        ),
        pytest.param(
            [put("ConfigMap", "ca", None, data={"other": "x"})],
            CA,
            Reason.INVALID_CA_CERTIFICATE_REF,
            "ConfigMap default/ca has no certificates in its key ca.crt",
            id="no key",
        ),
        pytest.param(
            [opaque({"other": "x"})],
            {"name": "ca"},
            Reason.INVALID_CA_CERTIFICATE_REF,
            "Secret default/ca has no certificates in its key ca.crt",
            id="no key in a Secret",
        ),
        pytest.param(
            [config_map("", "ca", "other")],
            {**CA, "namespace": "other"},
            Reason.REF_NOT_PERMITTED,
            "ConfigMap other/ca is in another namespace; a ReferenceGrant in namespace other must allow Upstream from "
            "default",
            id="no grant",
        ),
    ],
)
def test_without_a_usable_authority_nothing_is_sent(objects, ref, reason, told) -> None:
    edge = edge_with(*objects, secured(ref))
    assert complaint(edge)[0] is reason
    assert f"spec.tls.caCertificateRefs[0]: {told}" in complaint(edge)[1]
    assert "answer 500" in complaint(edge)[1]
    assert served(edge, CLUSTER) == served(edge, SECRET) == set()


def test_a_grant_permits_an_authority_of_another_namespace(tls_pairs: TlsPairs) -> None:
    spec = {
        "from": [{"group": "northgate.dev", "kind": "Upstream", "namespace": "default"}],
        "to": [{"group": "", "kind": "ConfigMap"}],
    }
    grant = put("ReferenceGrant", "g", spec, "other")
    edge = edge_with(config_map(tls_pairs.ca, "ca", "other"), grant, secured({**CA, "namespace": "other"}))
    assert complaint(edge) == (Reason.RESOLVED_REFS, "")
    assert served(edge, SECRET) == {"ca/configmap/other/ca"}


def test_one_usable_authority_of_several_is_enough(tls_pairs: TlsPairs) -> None:
    edge = edge_with(opaque({"ca.crt": tls_pairs.ca}), secured(CA, {"name": "ca"}))
    assert complaint(edge)[0] is Reason.INVALID_CA_CERTIFICATE_REF
    assert "answer 500" not in complaint(edge)[1]
    assert served(edge, SECRET) == {"ca/secret/default/ca"}


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        pytest.param([], "Secret default/me does not exist", id="missing"),
        pytest.param(["mismatched"], "does not belong to the first certificate", id="mismatched"),
        pytest.param(["opaque"], "is of type Opaque; it must be kubernetes.io/tls", id="type"),
    ],
)
def test_without_its_own_certificate_nothing_is_sent(objects, told, tls_pairs: TlsPairs) -> None:
    made = {
        "mismatched": lambda: secret(tls_pairs.mismatched),
        "opaque": lambda: secret(tls_pairs.issue("me.example"), kind="Opaque"),
    }
    edge = edge_with(
        config_map(tls_pairs.ca), *(made[one]() for one in objects), secured(CA, clientCertificateRef={"name": "me"})
    )
    reason, message = complaint(edge)
    assert reason is Reason.INVALID_CLIENT_CERTIFICATE_REF
    assert told in message
    assert "answer 500" in message
    assert served(edge, CLUSTER) == served(edge, SECRET) == set()


def test_a_broken_successor_is_reported_and_what_was_good_stays(tls_pairs: TlsPairs) -> None:
    edge = edge_with(config_map(tls_pairs.ca), secured(CA))
    assert changed(edge, config_map("broken")) == {}
    reason, message = complaint(edge)
    assert reason is Reason.INVALID_CA_CERTIFICATE_REF
    assert "its previous version is still used" in message
    assert served(edge, CLUSTER) == {"default/up"}


def test_rotation_changes_one_secret_and_translates_nothing_else(tls_pairs: TlsPairs) -> None:
    first, second = tls_pairs.issue("me.example"), tls_pairs.issue("me.example")
    edge = edge_with(config_map(tls_pairs.ca), secret(first), secured(CA, clientCertificateRef={"name": "me"}))
    compiler = edge.compiler
    stages = (compiler.backends, compiler.routes, compiler.clusters, compiler.assignments, compiler.virtual_hosts)
    before = [stage.computed for stage in stages]
    assert changed(edge, secret(second)) == {SECRET: {"upstream/default/me"}}
    assert changed(edge, config_map(TlsPairs().ca)) == {SECRET: {"ca/configmap/default/ca"}}
    assert [stage.computed for stage in stages] == before


def test_credentials_leave_with_the_last_upstream_that_needs_them(tls_pairs: TlsPairs) -> None:
    edge = edge_with(config_map(tls_pairs.ca), secured(CA))
    assert changed(edge, upstream(static=ORIGIN)) == {CLUSTER: {"default/up"}, SECRET: {"ca/configmap/default/ca"}}
    assert served(edge, SECRET) == set()


def test_a_changed_endpoint_of_an_upstream_is_one_assignment() -> None:
    sources = [{"name": "web", "port": 80}, {"name": "api", "port": 80}]
    edge = edge_with(upstream(services=sources), service("web"), service("api"), endpoints("web", "10.0.0.1"))
    compiler = edge.compiler
    stages = (compiler.backends, compiler.routes, compiler.clusters, compiler.virtual_hosts)
    before = [stage.computed for stage in stages]
    assert changed(edge, endpoints("api", "10.0.0.2")) == {ENDPOINT: {"default/up"}}
    assert [stage.computed for stage in stages] == before
    assert facts(edge).endpoints == 2


def test_settings_of_the_cluster_do_not_touch_routes() -> None:
    edge = edge_with(upstream(static=ORIGIN))
    before = edge.compiler.routes.computed
    assert changed(edge, upstream(static=ORIGIN, connectTimeout="1s")) == {CLUSTER: {"default/up"}}
    assert edge.compiler.routes.computed == before


def test_a_key_is_computed_by_routes() -> None:
    edge = edge_with(upstream(static=ORIGIN))
    assert set(changed(edge, upstream(static=ORIGIN, loadBalancer={"consistentHash": {"header": "x"}}))) == {
        CLUSTER,
        ROUTE,
    }


@pytest.mark.parametrize(
    ("spec", "count"),
    [({"static": ORIGIN}, 1), ({"dns": {"hostname": "origin.example", "port": 80}}, None)],
)
def test_endpoints_are_counted_where_they_are_known(spec, count) -> None:
    assert facts(edge_with(upstream(**spec))).endpoints == count


def test_an_upstream_that_was_never_good_is_refused() -> None:
    edge = edge_with(upstream(static=[{"address": "169.254.169.254", "port": 80}]))
    reason, message = complaint(edge, Type.ACCEPTED)
    assert (reason, facts(edge).endpoints) == (Reason.INVALID, 0)
    assert message.startswith("spec.static[0].address: 169.254.169.254 is a link-local")
    assert served(edge, CLUSTER) == set()


def test_a_bad_successor_leaves_the_good_version_serving() -> None:
    edge = edge_with(upstream(static=ORIGIN))
    assert changed(edge, upstream(static=ORIGIN, connectTimeout="0s")) == {}
    assert (
        "spec.connectTimeout: 0s is out of range; write a time from 1ms to 5m"
        in complaint(edge, Type.PARTIALLY_INVALID)[1]
    )


HASHED = {"header": {"header": "x-user"}, "cookie": {"cookie": {"name": "seat", "ttl": "1h"}}}


def hashed(name: str, key: str) -> Put:
    return put("Upstream", name, {"static": ORIGIN, "loadBalancer": {"consistentHash": HASHED[key]}})


def refs(*names: str) -> dict[str, Any]:
    return {"backendRefs": [{"kind": "Upstream", "name": name} for name in names]}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("header", "header"), ""),
        (("header", "cookie"), "spec.rules[0].backendRefs[1]: this Upstream has another consistentHash"),
        (("cookie", "cookie"), "spec.rules[0].backendRefs[0]: the cookie of this Upstream's consistentHash is issued"),
        (("cookie",), ""),
    ],
)
def test_what_a_rule_cannot_do_for_its_upstreams_is_said(keys, told) -> None:
    edge = Edge()
    names = [f"up{number}" for number in range(len(keys))]
    edge.apply([gateway(), route("r", refs(*names)), *map(hashed, names, keys)])
    backends = edge.compiler.backends.get(("default", "r"))
    assert backends is not None
    assert backends.rules[0].consistent_hash is not None
    assert ("; ".join(map(str, backends.problems))).startswith(told)
    assert bool(backends.problems) == bool(told)


def test_the_same_service_with_and_without_a_budget_has_two_clusters() -> None:
    retry = {"attempts": 1, "budget": {"percent": "20"}}
    backend = {"backendRefs": [{"name": "web", "port": 80}]}
    rules = [{"matches": [{"path": {"value": "/a"}}], **backend, "retry": retry}, backend]
    edge = Edge()
    edge.apply([gateway(), route("r", *rules), service("web")])
    assert not edge.engine.failures
    assert len(served(edge, CLUSTER)) == 2
    assert served(edge, ENDPOINT) == {"default/web/80"}


def test_private_keys_are_in_secrets_alone(tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("me.example")
    edge = edge_with(config_map(tls_pairs.ca), secret(pair), secured(CA, clientCertificateRef={"name": "me"}))
    key = pair.key.strip().splitlines()[1].encode()
    holders = {
        url for url in TYPES for one in edge.resources(("default", "edge")).get(url, {}).values() if key in one.body
    }
    assert holders == {SECRET}
    assert key.decode() not in repr(facts(edge))


WORLD = [
    gateway(),
    route("r", refs("up", "plain")),
    service("web"),
    endpoints("web", "10.0.0.1", "10.0.0.2"),
    put("Upstream", "plain", {"services": [{"name": "web", "port": 80, "weight": 2}, {"name": "gone", "port": 80}]}),
]


@settings(max_examples=60)
@given(data=st.data())
def test_any_order_of_events_leads_to_the_same(data: st.DataObject, tls_pairs: TlsPairs) -> None:
    pair = tls_pairs.issue("me.example")
    events = [*WORLD, config_map(tls_pairs.ca), secret(pair), secured(CA, clientCertificateRef={"name": "me"})]
    passing = [config_map("broken", "other"), upstream(static=ORIGIN), upstream(dns={"hostname": "a.b", "port": 1})]
    together, one_by_one = Edge(), Edge()
    together.apply(events)
    for event in [*data.draw(st.permutations(passing)), *data.draw(st.permutations(events))]:
        one_by_one.apply([event])
    name = ("default", "edge")
    assert one_by_one.resources(name) == together.resources(name)
    assert facts(one_by_one) == facts(together)
    assert not one_by_one.engine.failures
