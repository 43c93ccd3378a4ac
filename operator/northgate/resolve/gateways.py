"""Which listeners does a gateway really have? Conflicts between them, and the certificates they can serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from northgate.api.conditions import Condition, Reason, Status, Type
from northgate.api.gateway import AllowedRoutes, EdgeGatewaySpec, Hardening, Listener
from northgate.api.refs import SecretRef
from northgate.resolve.absence import absent
from northgate.resolve.grants import Reference, permitted
from northgate.resolve.hostnames import ANY, covers, intersection, narrower, overlap
from northgate.world.store import Entry, Name, World


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of a listener. `certificates` are Secrets that exist and hold a usable pair."""

    certificates: tuple[Name, ...]
    passthrough: bool
    min_version: str
    max_version: str


@dataclass(frozen=True, slots=True)
class ResolvedListener:
    """A listener and whether it serves. `hostname` is `*` when it takes every one.

    A listener that is accepted but does not serve, for want of a certificate, still keeps its hostname from others.
    """

    name: str
    port: int
    protocol: str
    hostname: str
    tls: Tls | None
    allowed: AllowedRoutes | None
    conditions: tuple[Condition, ...]
    serves: bool

    @property
    def http(self) -> bool:
        """True when requests, not connections, are routed here."""
        return self.protocol in ("HTTP", "HTTPS")

    @property
    def accepted(self) -> bool:
        """False when it cannot stand beside the other listeners."""
        return any(c.type is Type.ACCEPTED and c.status is Status.TRUE for c in self.conditions)


@dataclass(frozen=True, slots=True)
class ResolvedGateway:
    """A gateway with its listeners in the order they are written."""

    name: Name
    pop: str
    listeners: tuple[ResolvedListener, ...]
    hardening: Hardening

    def serving(self, port: int | None = None) -> Iterator[ResolvedListener]:
        """The listeners that serve, on one port or all."""
        return (one for one in self.listeners if one.serves and port in (None, one.port))

    def accepted(self, port: int) -> tuple[ResolvedListener, ...]:
        """The listeners that may stand on a port, serving or not."""
        return tuple(one for one in self.listeners if one.accepted and one.port == port)

    def narrower_owner(self, listener: ResolvedListener, host: str) -> ResolvedListener | None:
        """The listener that has a hostname of `listener` to itself, because its own hostname is more specific."""
        for other in self.accepted(listener.port):
            if narrower(other.hostname, listener.hostname) and covers(other.hostname, host):
                return other
        return None

    def delegated(self, listener: ResolvedListener) -> tuple[str, ...]:
        """Hostnames of a listener, beside its own, that some namespaces have to themselves."""
        delegations = listener.allowed.hostnames or () if listener.allowed is not None else ()
        hosts = intersection(listener.hostname, (host for one in delegations for host in one.hostnames))
        return tuple(host for host in hosts if host != listener.hostname and not self.narrower_owner(listener, host))

    def ports(self) -> tuple[int, ...]:
        """Ports with a listener that serves."""
        return tuple(sorted({listener.port for listener in self.serving()}))


def resolve_gateway(world: World, name: Name) -> ResolvedGateway | None:
    """A gateway as its own object, its Secrets and grants make it; None when no version of it can be read."""
    spec: EdgeGatewaySpec | None = world.gateways[name].spec
    if spec is None:
        return None
    listeners = tuple(_without_conflicts(_resolve_listener(world, name, listener) for listener in spec.listeners))
    return ResolvedGateway(name, spec.pop or "", tuple(_with_overlaps(listeners)), spec.hardening or Hardening())


def _resolve_listener(world: World, gateway: Name, listener: Listener) -> ResolvedListener:
    tls, refs = _resolve_tls(world, gateway, listener)
    no_certificate = tls is not None and not tls.passthrough and not tls.certificates
    return ResolvedListener(
        name=listener.name,
        port=listener.port,
        protocol=listener.protocol,
        hostname=listener.hostname or ANY,
        tls=tls,
        allowed=listener.allowed_routes,
        conditions=(Condition(Type.ACCEPTED, Status.TRUE, Reason.ACCEPTED), refs),
        serves=not no_certificate,
    )


def _resolve_tls(world: World, gateway: Name, listener: Listener) -> tuple[Tls | None, Condition]:
    resolved = Condition(Type.RESOLVED_REFS, Status.TRUE, Reason.RESOLVED_REFS)
    if listener.tls is None:
        return None, resolved
    usable: list[Name] = []
    for ref in listener.tls.certificate_refs or ():
        secret, complaint = _certificate(world, gateway, ref)
        if secret is not None:
            usable.append(secret)
        if complaint is not None and resolved.status is Status.TRUE:
            resolved = complaint
    return Tls(
        certificates=tuple(usable),
        passthrough=listener.tls.mode == "Passthrough",
        min_version=listener.tls.min_version or "1.2",
        max_version=listener.tls.max_version or "1.3",
    ), resolved


def _certificate(world: World, gateway: Name, ref: SecretRef) -> tuple[Name | None, Condition | None]:
    secret = (ref.namespace or gateway[0], ref.name)
    reference = Reference("EdgeGateway", gateway[0], "", "Secret", *secret)
    if not permitted(world, reference):
        return None, _unresolved(Reason.REF_NOT_PERMITTED, reference.refused())
    entry = world.secrets.get(secret)
    if entry is None:
        beside = world.secrets_in if secret[0] == gateway[0] else None
        return None, _unresolved(Reason.INVALID_CERTIFICATE_REF, absent("Secret", secret, beside))
    if entry.serving is None or not entry.serving.good or entry.spec.type != "kubernetes.io/tls":
        return None, _unresolved(Reason.INVALID_CERTIFICATE_REF, f"Secret {'/'.join(secret)}: {_secret_fault(entry)}")
    if entry.fell_back:
        fault = f"Secret {'/'.join(secret)}: {_secret_fault(entry)}; the previous certificate is still served"
        return secret, _unresolved(Reason.INVALID_CERTIFICATE_REF, fault)
    return secret, None


def _secret_fault(entry: Entry) -> str:
    problems = entry.latest.problems
    return str(problems[0]) if problems else "its type must be kubernetes.io/tls"


def _unresolved(reason: Reason, message: str) -> Condition:
    return Condition(Type.RESOLVED_REFS, Status.FALSE, reason, message)


_FAMILY = {"HTTP": "HTTP", "HTTPS": "TLS", "TLS": "TLS", "TCP": "TCP"}


def _without_conflicts(listeners: Iterator[ResolvedListener]) -> Iterator[ResolvedListener]:
    """Of listeners that cannot stand together the first one written stands; the others say why they do not."""
    standing: list[ResolvedListener] = []
    for listener in listeners:
        neighbours = [one for one in standing if one.port == listener.port]
        clash = _clash(listener, neighbours)
        if clash is None:
            standing.append(listener)
        yield listener if clash is None else _conflicted(listener, *clash)


def _clash(listener: ResolvedListener, neighbours: list[ResolvedListener]) -> tuple[Reason, str] | None:
    for one in neighbours:
        if _FAMILY[one.protocol] != _FAMILY[listener.protocol]:
            spoken = f"port {listener.port} already speaks {one.protocol} for listener {one.name}; use another port"
            return Reason.PROTOCOL_CONFLICT, spoken
    for one in neighbours:
        if one.hostname == listener.hostname:
            hosts = "every hostname" if listener.hostname == ANY else f"hostname {listener.hostname}"
            taken = f"listener {one.name} already has {hosts} on port {listener.port}; use another hostname or port"
            return Reason.HOSTNAME_CONFLICT, taken
    return None


def _conflicted(listener: ResolvedListener, reason: Reason, message: str) -> ResolvedListener:
    refused = Condition(Type.ACCEPTED, Status.FALSE, Reason.PORT_UNAVAILABLE, message)
    conflict = Condition(Type.CONFLICTED, Status.TRUE, reason, message)
    others = tuple(c for c in listener.conditions if c.type is not Type.ACCEPTED)
    return replace(listener, conditions=(refused, conflict, *others), serves=False)


def _with_overlaps(listeners: tuple[ResolvedListener, ...]) -> Iterator[ResolvedListener]:
    """Listeners for HTTPS say who else has hostnames of theirs on the port (Gateway API, OverlappingTLSConfig)."""
    for listener in listeners:
        https = listener.accepted and listener.protocol == "HTTPS"
        others = [one for one in listeners if https and one is not listener and _share_names(one, listener)]
        yield replace(listener, conditions=(*listener.conditions, _overlapping(others))) if others else listener


def _share_names(one: ResolvedListener, other: ResolvedListener) -> bool:
    return one.accepted and one.port == other.port and overlap(one.hostname, other.hostname)


def _overlapping(others: list[ResolvedListener]) -> Condition:
    named = ", ".join(f"{one.name} ({one.hostname})" for one in others)
    message = (
        f"shares hostnames with {named}: the most specific hostname decides, and a request for one that comes over a "
        "connection for another is answered 421"
    )
    return Condition(Type.OVERLAPPING_TLS_CONFIG, Status.TRUE, Reason.OVERLAPPING_HOSTNAMES, message)
