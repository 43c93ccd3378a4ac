"""What if objects come past every check: stripped validation, an old version, a write to the store itself?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.objects import endpoints, gateway, put, route, service, to

from northgate.api.parse import READERS, SPECS
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import ROUTE
from northgate.world.key import ObjectKey

KINDS = [*READERS, *(("northgate.dev", kind) for kind in SPECS)]
FIELDS = [
    "spec", "metadata", "name", "namespace", "labels", "generation", "creationTimestamp", "listeners", "parentRefs",
    "rules", "matches", "path", "value", "backendRefs", "port", "ports", "weight", "hostnames", "tls", "static",
    "endpoints", "addresses", "conditions", "data", "stringData", "type", "tls.crt", "tls.key", "from", "to",
    "kubernetes.io/service-name", "defaults", "respond", "status", "protocol", "percent", "respond", "redirect",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.sampled_from(["", "a", "HTTP", "80", "5s", "\0", "\ud800", "ü", "a\r\nb", "%ENVIRONMENT(HOME)%", "*" * 4097]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=24,
)
DOCUMENTS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6)


def good() -> Edge:
    edge = Edge()
    edge.apply([gateway(), service("web"), endpoints("web", "192.0.2.1"), route("good", to("web", "/"))])
    return edge


@example(kind=("", "Service"), document={"spec": "\ud800"}, name="forged")
@given(kind=st.sampled_from(KINDS), document=DOCUMENTS, name=st.sampled_from(["forged", "web", "web-1"]))
@settings(max_examples=400)
def test_no_document_of_any_shape_raises_or_breaks_the_good_route(
    kind: tuple[str, str], document: Mapping[str, Any], name: str
) -> None:
    edge = good()
    before = edge.resources(("default", "edge"))[ROUTE]
    forged = {"apiVersion": f"{kind[0]}/v1alpha1".lstrip("/"), "kind": kind[1], **document}
    edge.apply([(ObjectKey(*kind, "" if kind[1] == "Namespace" else "default", name), forged)])
    assert edge.engine.failures == {}
    assert edge.resources(("default", "edge"))[ROUTE].keys() == before.keys()


@pytest.mark.parametrize("spec", [None, "text", 5, [], [None], {"rules": None}, {"rules": {}, "parentRefs": "edge"}])
@pytest.mark.parametrize("kind", sorted(SPECS))
def test_a_spec_of_the_wrong_shape_is_a_problem_of_that_object_alone(kind: str, spec: Any) -> None:
    edge = good()
    before = edge.resources(("default", "edge"))
    edge.apply([put(kind, "forged", spec)])
    entry = edge.world.entry(ObjectKey("northgate.dev", kind, "default", "forged"))
    assert entry is not None
    assert entry.latest.problems
    assert edge.resources(("default", "edge")) == before


@pytest.mark.parametrize("metadata", [None, "text", [], {"generation": "five", "creationTimestamp": 5}])
def test_metadata_of_the_wrong_shape_is_no_metadata(metadata: Any) -> None:
    edge = good()
    key, document = route("forged", {"respond": {"status": 200}}, hostnames=["forged.example"])
    edge.apply([(key, {**document, "metadata": metadata})])
    entry = edge.world.entry(key)
    assert entry is not None
    assert (entry.latest.generation, entry.latest.created, entry.latest.good) == (1, "", True)
    assert edge.engine.failures == {}
