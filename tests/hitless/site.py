"""What is a site under change? A small model: pools of upstreams, hosts, and what each host may answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from northgate.ops.exchange import Reply
from northgate.ops.scenery import NAMESPACE, Pair, secret
from northgate.ops.verdict import echoed, upstream_of
from northgate.world.key import ObjectKey

PATH = "/load/it"
TAG = "x-tag"
ELSEWHERE = 8080
"""The port of the listener that comes and goes."""

_MATCHED = "/load"

Document = tuple[ObjectKey, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Pool:
    """A backend. `Service`: with these upstreams as endpoints; `Static`: an Upstream with these upstreams as addresses;
    `Selected`: an Upstream that takes the endpoints of these Services.
    """

    kind: Literal["Service", "Static", "Selected"]
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """What a Route does: pools with weights, a new path prefix, and a tag the upstream or the client sees."""

    pools: tuple[tuple[str, int], ...]
    prefix: str = ""
    request_tag: str = ""
    response_tag: str = ""

    @property
    def used(self) -> frozenset[str]:
        """The pools that get requests."""
        return frozenset(name for name, weight in self.pools if weight)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything users wrote. `certificate` is the number of the pair that is served."""

    pools: Mapping[str, Pool]
    hosts: Mapping[str, Host]
    certificate: int = 0
    elsewhere: bool = False

    def referred(self) -> frozenset[str]:
        """The pools that hosts or other pools name."""
        by_hosts = {name for host in self.hosts.values() for name, _ in host.pools}
        selected = {name for pool in self.pools.values() if pool.kind == "Selected" for name in pool.members}
        return frozenset(by_hosts | selected)


class Answer(NamedTuple):
    """What tells one configuration from another in an answer."""

    status: int
    upstream: str
    path: str
    request_tag: str
    response_tag: str


NOT_FOUND = Answer(404, "", "", "", "")


def answers(name: str, sites: Sequence[Site]) -> frozenset[Answer]:
    """What may come back for a host while any of these sites is in force; 404 where it is missing.

    Routes and endpoints reach a proxy one after the other, so a route of one site may meet the endpoints of another.
    """
    found: set[Answer] = set()
    for host in {site.hosts.get(name) for site in sites}:
        if host is None:
            found.add(NOT_FOUND)
            continue
        path = (host.prefix or _MATCHED) + PATH.removeprefix(_MATCHED)
        for upstream in sorted(frozenset[str]().union(*(endpoints(pool, sites) for pool in host.used))):
            found.add(Answer(200, upstream, path, host.request_tag, host.response_tag))
    return frozenset(found)


def endpoints(name: str, sites: Sequence[Site]) -> frozenset[str]:
    """The upstreams a pool stands for in any of these sites."""
    found: set[str] = set()
    for pool in (site.pools[name] for site in sites if name in site.pools):
        if pool.kind == "Selected":
            found.update(*(endpoints(service, sites) for service in pool.members))
        else:
            found.update(pool.members)
    return frozenset(found)


def answer_of(reply: Reply) -> Answer:
    """Read it from a reply; the query of the path does not count."""
    told = echoed(reply)
    return Answer(
        reply.status,
        upstream_of(reply) or "",
        told.get("path", "").partition("?")[0],
        ",".join(told.get("headers", {}).get(TAG, ())),
        ",".join(reply.header(TAG)),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where the site's upstreams listen, and the pairs it may serve."""

    ports: Mapping[str, int]
    pairs: tuple[Pair, ...]


def documents(site: Site, place: Place) -> dict[ObjectKey, Mapping[str, Any]]:
    """The objects of a site."""
    found: list[Document] = [_gateway(site), secret("edge", "example-tls", place.pairs[site.certificate])]
    for name, pool in site.pools.items():
        found.extend(_pool(name, pool, place))
    found.extend(_route(name, host, site) for name, host in site.hosts.items())
    return dict(found)


def _gateway(site: Site) -> Document:
    everyone = {"namespaces": {"from": "All"}}
    tls = {"hostname": "*.example.test", "tls": {"certificateRefs": [{"name": "example-tls"}]}}
    listeners: list[dict[str, Any]] = [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everyone},
        {"name": "https", "port": 443, "protocol": "HTTPS", "allowedRoutes": everyone, **tls},
    ]
    if site.elsewhere:
        listeners.append({"name": "elsewhere", "port": ELSEWHERE, "protocol": "HTTP", "allowedRoutes": everyone})
    return _own("EdgeGateway", "edge", {"listeners": listeners}, "edge")


def _route(name: str, host: Host, site: Site) -> Document:
    rule: dict[str, Any] = {
        "matches": [{"path": {"value": _MATCHED}}],
        "backendRefs": [{**_reference(pool, site), "weight": weight} for pool, weight in host.pools],
    }
    if host.prefix:
        rule["rewrite"] = {"path": {"replacePrefix": host.prefix}}
    if host.request_tag:
        rule["requestHeaders"] = {"set": [{"name": TAG, "value": host.request_tag}]}
    if host.response_tag:
        rule["responseHeaders"] = {"set": [{"name": TAG, "value": host.response_tag}]}
    parent = {"namespace": "edge", "name": "edge"}
    return _own("Route", name, {"parentRefs": [parent], "hostnames": [hostname(name)], "rules": [rule]})


def _reference(pool: str, site: Site) -> dict[str, Any]:
    service = site.pools[pool].kind == "Service"
    return {"name": pool, "port": 80} if service else {"kind": "Upstream", "name": pool}


def _pool(name: str, pool: Pool, place: Place) -> Iterator[Document]:
    match pool.kind:
        case "Service":
            metadata = {"namespace": NAMESPACE, "name": name}
            spec = {"ports": [{"name": "http", "port": 80}]}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
            yield ObjectKey("", "Service", NAMESPACE, name), service
            yield from (_slice(name, member, place.ports[member]) for member in pool.members)
        case "Static":
            static = [{"address": "127.0.0.1", "port": place.ports[member]} for member in pool.members]
            yield _own("Upstream", name, {"static": static})
        case "Selected":
            yield _own("Upstream", name, {"services": [{"name": member, "port": 80} for member in pool.members]})


def _slice(service: str, member: str, port: int) -> Document:
    """A slice for each member: the endpoints of one slice share a port."""
    name, labels = f"{service}-{member}", {"kubernetes.io/service-name": service}
    return ObjectKey("discovery.k8s.io", "EndpointSlice", NAMESPACE, name), {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": NAMESPACE, "name": name, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }


def _own(kind: str, name: str, spec: Mapping[str, Any], namespace: str = NAMESPACE) -> Document:
    metadata = {"namespace": namespace, "name": name}
    document = {"apiVersion": "northgate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    return ObjectKey("northgate.dev", kind, namespace, name), document


def hostname(host: str) -> str:
    """The hostname of a host of the site."""
    return f"{host}.example.test"
