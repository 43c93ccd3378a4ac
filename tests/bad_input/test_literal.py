"""Are tenants' strings ever programs? Operators of the proxy stay text wherever text can be written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.edge import EXAMPLES, RunningEdge
from tests.harness.envoy import EnvoyProcess

from northgate.ops.exchange import Reply, Request, Target
from northgate.ops.requests import Client
from northgate.world.key import ObjectKey

pytestmark = pytest.mark.envoy

CANARY = "canary-4711"
OPERATORS = (
    "%ENVIRONMENT(NORTHGATE_CANARY)%",
    "%ENVIRONMENT(NORTHGATE_CANARY):5%",
    "%FILE_CONTENT(/etc/hostname)%",
    "%HOSTNAME%",
    "%DYNAMIC_METADATA(a:b)%",
    "%FILTER_STATE(northgate.client_address)%",
    "%CEL(request.headers)%",
    "%UPSTREAM_METADATA(a:b)%",
    "%DOWNSTREAM_PEER_SUBJECT%",
    "%REQ(:path)%",
    "%REQ(a?b)%",
    "%RESP(server)%",
    "%PROTOCOL%%ENVIRONMENT(NORTHGATE_CANARY)%",
    "%%ENVIRONMENT(NORTHGATE_CANARY)%%",
    "%%%ENVIRONMENT(NORTHGATE_CANARY)%%%",
    "%ENVIRONMENT(%PROTOCOL%)%",
    "%PROTOCOL",
    "100%",
    "%",
    "%%",
    "%s%n%x%00%0d%0a",
    "{{ env.NORTHGATE_CANARY }} ${NORTHGATE_CANARY} $(NORTHGATE_CANARY)",
)


def replaced(text: str) -> str:
    """The text as it must arrive: the one operator used here that is allowed is replaced, nothing else is."""
    return text.replace("%PROTOCOL%", "HTTP/1.1")


def host(number: int) -> str:
    return f"literal-{number}.example.test"


def rules(text: str) -> Iterator[dict]:
    """One rule for each place where text can be written, by the path it answers at."""
    header = [{"name": "x-literal", "value": text}]
    added = [{"name": "x-added", "value": text}]
    echo = {"backendRefs": [{"name": "echo-a", "port": 80}]}
    yield {"path": "/respond", "respond": {"status": 200, "body": text, "headers": header}}
    yield {"path": "/headers", **echo, "requestHeaders": {"set": header, "add": added}}
    yield {"path": "/answer", **echo, "responseHeaders": {"set": header, "add": added}}
    yield {"path": "/page", **echo, "maintenance": {"enabled": True, "page": {"body": text}}}
    if " " not in text and "?" not in text:
        path = f"/{text}"
        yield {"path": "/redirect", "redirect": {"path": {"replaceFull": path}}}
        yield {"path": "/moved", "redirect": {"path": {"replacePrefix": path}}}
        yield {"path": "/replaced", "redirect": {"path": {"regex": {"pattern": "^.*$", "substitution": path}}}}
        yield {"path": "/rewrite", **echo, "rewrite": {"path": {"replaceFull": path}}}
        yield {"path": "/prefix", **echo, "rewrite": {"path": {"replacePrefix": path}}}


def route(number: int, text: str) -> tuple[ObjectKey, dict]:
    key = ObjectKey("northgate.dev", "Route", "demo", f"literal-{number}")
    spec = {
        "parentRefs": [{"name": "edge", "namespace": "edge", "sectionName": "http"}],
        "hostnames": [host(number)],
        "rules": [{"matches": [{"path": {"value": rule.pop("path")}}], **rule} for rule in rules(text)],
    }
    metadata = {"name": key.name, "namespace": "demo"}
    return key, {"apiVersion": "northgate.dev/v1alpha1", "kind": "Route", "metadata": metadata, "spec": spec}


async def served(edge: RunningEdge) -> None:
    """Serve a Route for each operator by an Envoy whose environment has the canary."""
    await edge.serve(
        [*edge.scenery(), *edge.objects(EXAMPLES / "edge.yaml"), *(route(n, text) for n, text in enumerate(OPERATORS))]
    )


def told(reply: Reply, header: str) -> list[str]:
    """A request header as the echo upstream saw it."""
    return json.loads(reply.body)["headers"].get(header, [])


async def check(client: Client, target: Target, number: int, text: str) -> list[Reply]:
    async def get(path: str) -> Reply:
        return await client.send(target, Request("GET", path, host(number)))

    wanted = replaced(text)
    respond, headers, answer, page = [await get(path) for path in ("/respond", "/headers", "/answer", "/page")]
    assert (respond.status, respond.body.decode()) == (200, text)
    assert respond.header("x-literal") == (wanted,)
    assert (told(headers, "x-literal"), told(headers, "x-added")) == ([wanted], [wanted])
    assert (answer.header("x-literal"), answer.header("x-added")) == ((wanted,), (wanted,))
    assert (page.status, page.body.decode()) == (503, text)
    found = [respond, headers, answer, page]
    if " " in text or "?" in text:
        return found
    for path in ("/redirect", "/moved", "/replaced"):
        found.append(await get(path))
        assert found[-1].header("location") == (f"http://{host(number)}/{text}",), path
    for path in ("/rewrite", "/prefix"):
        found.append(await get(path))
        assert json.loads(found[-1].body)["path"] == f"/{text}", path
    return found


async def test_operators_stay_text_and_nothing_of_the_machine_is_told(monkeypatch):
    monkeypatch.setenv("NORTHGATE_CANARY", CANARY)
    async with RunningEdge() as edge, Client() as client:
        await served(edge)
        assert _environment(edge.envoy) == CANARY
        target = Target(edge.place().addresses[80])
        replies = [reply for n, text in enumerate(OPERATORS) for reply in await check(client, target, n, text)]
        assert len(replies) > 8 * len(OPERATORS)
        assert not [reply for reply in replies if CANARY in f"{reply.headers}{reply.body!r}"]
        rejected = await edge.envoy.stats("update_rejected")
        assert {name: count for name, count in rejected.items() if count} == {}


def _environment(envoy: EnvoyProcess) -> str | None:
    """The canary as Envoy's process really has it, so that its absence from answers means something."""
    content = Path(f"/proc/{envoy.pid}/environ").read_bytes()
    pairs = dict(entry.split(b"=", 1) for entry in content.split(b"\0") if b"=" in entry)
    return pairs.get(b"NORTHGATE_CANARY", b"").decode() or None
