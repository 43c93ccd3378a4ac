"""Which objects the tests of listeners use: one gateway, Services of the echo upstreams, short Routes, TLS clients."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from cryptography import x509
from tests.core.objects import Put, put
from tests.harness.certificates import Pair
from tests.harness.edge import RunningEdge

from northgate.ops import scenery
from northgate.ops.exchange import ClientTls, Outcome, Reply, Request, Target, end
from northgate.ops.requests import Client, open_stream
from northgate.world.key import ObjectKey

GATEWAY = ("edge", "edge")


class Handshake(NamedTuple):
    """What a TLS handshake agreed on."""

    serial: str
    version: str | None
    alpn: str | None


def listener(name: str, port: int, protocol: str = "HTTP", **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": {"namespaces": {"from": "All"}}, **more}


def https(name: str, hostname: str | None, *secrets: str, port: int = 443, **tls: Any) -> dict[str, Any]:
    refs = [{"name": secret} for secret in secrets]
    host = {} if hostname is None else {"hostname": hostname}
    return listener(name, port, "HTTPS", tls={"certificateRefs": refs, **tls}, **host)


def gateway(*listeners: Mapping[str, Any], **spec: Any) -> Put:
    return put("EdgeGateway", "edge", {"listeners": list(listeners), **spec}, "edge")


def services() -> Iterable[Put]:
    for name in scenery.HTTP_UPSTREAMS:
        yield put("Service", name, {"ports": [{"name": "http", "port": 80}]}, scenery.NAMESPACE)
    for name in scenery.TCP_UPSTREAMS:
        yield put("Service", name, {"ports": [{"name": "tcp", "port": 9000}]}, scenery.NAMESPACE)
    for name in scenery.TLS_UPSTREAMS:
        yield put("Service", name, {"ports": [{"name": "tls", "port": 443}]}, scenery.NAMESPACE)


def to(*backends: str, port: int = 80, **more: Any) -> dict[str, Any]:
    """A rule that forwards to backends, `name` or `name=weight`."""
    refs = [
        {"name": name, "port": port, **({"weight": int(weight)} if weight else {})}
        for name, _, weight in (backend.partition("=") for backend in backends)
    ]
    return {"backendRefs": refs, **more}


def route(name: str, listener_name: str | None, *hostnames: str, rule: Mapping[str, Any] | None = None) -> Put:
    parent = {"name": "edge", "namespace": "edge", **({"sectionName": listener_name} if listener_name else {})}
    hosts = {"hostnames": list(hostnames)} if hostnames else {}
    return put("Route", name, {"parentRefs": [parent], **hosts, "rules": [rule or to("echo-a")]}, scenery.NAMESPACE)


def secret(name: str, pair: Pair) -> Put:
    return scenery.secret("edge", name, scenery.Pair(pair.certificate, pair.key, ""))


@asynccontextmanager
async def running(objects: Iterable[Put], ports: Iterable[int] = (80, 443)) -> AsyncIterator[RunningEdge]:
    """An edge that serves these objects and the endpoints of the upstreams."""
    async with RunningEdge(GATEWAY, ports) as edge:
        await edge.serve([*edge.scenery(), *services(), *objects])
        yield edge


def target(edge: RunningEdge, port: int, tls: ClientTls | None = None, http: int = 1) -> Target:
    return Target(("127.0.0.1", edge.ports[port]), tls, 2 if http == 2 else 1)


async def get(where: Target, host: str, path: str = "/", *, client: Client | None = None, **headers: str) -> Reply:
    """One GET; over a connection of its own, or over one the client keeps."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    request = Request("GET", path, host, named)
    if client is not None:
        return await client.send(where, request)
    async with Client() as once:
        return await once.send(where, request, keep=False)


def route_conditions(edge: RunningEdge, name: str) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of a Route's conditions for its first parent, by type."""
    found = edge.status("Route", name)["parents"][0]
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in found["conditions"]}


def conditions(edge: RunningEdge, listener_name: str) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of a listener's conditions, by type."""
    found = edge.plane.statuses()[ObjectKey("northgate.dev", "EdgeGateway", *GATEWAY)]
    one = next(one for one in found["listeners"] if one["name"] == listener_name)
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in one["conditions"]}


async def first_line(where: Target) -> str:
    """What a connection brings: its first line, or how it ended."""
    opened = await open_stream(where)
    if isinstance(opened, Reply):
        return str(opened.outcome)
    reader, writer = opened
    try:
        line = await asyncio.wait_for(reader.readline(), 5)
    except ConnectionError:
        return str(Outcome.RESET)
    finally:
        await end(writer)
    return line.decode().strip() or str(Outcome.CLOSED)


async def handshake(edge: RunningEdge, port: int, name: str | None, context: ssl.SSLContext) -> Handshake | None:
    """A TLS handshake without a request; None when it fails."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.ports[port], ssl=context, server_hostname=name)
    except (ssl.SSLError, ConnectionError):
        return None
    connection = writer.get_extra_info("ssl_object")
    leaf = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    found = Handshake(f"{leaf.serial_number:X}", connection.version(), connection.selected_alpn_protocol())
    await end(writer)
    return found


def trusting_all(**settings: Any) -> ssl.SSLContext:
    """A client that checks nothing, with attributes of its context set; `ciphers` are OpenSSL's words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.set_ciphers(settings.pop("ciphers", "DEFAULT"))
    for name, value in settings.items():
        setattr(context, name, value)
    return context
