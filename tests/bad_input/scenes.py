"""What runs while bad input comes in? An edge that serves the examples and a good tenant, and requests to both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bad_input.cases import HERE, Case
from tests.harness.edge import EXAMPLES, Objects, RunningEdge
from tests.harness.load import Kind

from northgate.api.parse import known
from northgate.files.documents import read_documents
from northgate.ops.exchange import ClientTls, Reply, Target
from northgate.ops.verdict import upstream_of
from northgate.world.key import ObjectKey

Document = tuple[ObjectKey, Mapping[str, Any]]


def good_objects(edge: RunningEdge) -> Iterator[Document]:
    """The examples, the good tenant, and what they need around them."""
    yield from edge.scenery()
    yield from edge.objects(*sorted(EXAMPLES.glob("*.yaml")), HERE / "base.yaml")
    yield forged_endpoints(edge.upstreams.port("echo-a"))


def forged_endpoints(port: int) -> Document:
    """The good endpoints of the Service that has forged ones too."""
    key = ObjectKey("discovery.k8s.io", "EndpointSlice", "bad", "forged-good")
    return key, {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": key.name, "namespace": "bad", "labels": {"kubernetes.io/service-name": "forged"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }


def bad_objects(case: Case) -> Objects:
    """The objects of a case that can be told to be some object of a kind Northgate reads."""
    for file, content in case.files.items():
        found = read_documents(file, content).documents
        yield from ((one.key, one.raw) for one in found if known(one.key.group, one.key.kind))


def good_traffic(edge: RunningEdge) -> tuple[Kind, ...]:
    """Requests in clear and over TLS, on kept and on new connections, to Routes that bad input must not touch."""
    place = edge.place()
    clear = Target(place.addresses[80])
    secure = Target(place.addresses[443], ClientTls("secure.example.test", place.ca))
    return (
        Kind("fixed", clear, "good.bad.test", judge=_is_good),
        Kind("kept", clear, "forged.bad.test", judge=_is_echo_a),
        Kind("new", clear, "forged.bad.test", keep=False, judge=_is_echo_a),
        Kind("secure", secure, "secure.example.test", judge=_is_echo_a),
    )


def _is_good(reply: Reply, _due: float) -> str:
    return "" if (reply.status, reply.body) == (200, b"good") else f"{reply.status} {reply.body[:80]!r}"


def _is_echo_a(reply: Reply, _due: float) -> str:
    return "" if (reply.status, upstream_of(reply)) == (200, "echo-a") else f"{reply.status} {reply.body[:80]!r}"
