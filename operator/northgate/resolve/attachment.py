"""Which listeners does a Route attach to, with which hostnames? Per parent reference, with the reason if not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from northgate.api.conditions import Condition, Problem, Reason, Status, Type
from northgate.api.gateway import AllowedRoutes
from northgate.api.refs import ParentRef
from northgate.api.route import RouteSpec
from northgate.engine import Collection
from northgate.resolve.absence import meant
from northgate.resolve.connections import connection_problems
from northgate.resolve.gateways import ResolvedGateway, ResolvedListener
from northgate.resolve.hostnames import ANY, covers, intersection
from northgate.world.store import Name, World


class Table(NamedTuple):
    """Where rules of different Routes meet: one port for plain HTTP and TCP, one listener where TLS chose it.

    `listener` is empty for a table that all listeners of a port share.
    """

    gateway: Name
    port: int
    listener: str


class Place(NamedTuple):
    """One hostname in one table."""

    table: Table
    host: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A Route on one listener. `http` is False where connections, not requests, are routed."""

    listener: str
    table: Table
    http: bool
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """What became of one parent reference."""

    gateway: Name
    attachments: tuple[Attachment, ...]
    accepted: Condition
    problems: tuple[Problem, ...] = ()


def table_of(gateway: Name, listener: ResolvedListener) -> Table:
    """The table that Routes on this listener meet in."""
    return Table(gateway, listener.port, listener.name if listener.tls is not None else "")


def reserved_names(gateway: ResolvedGateway, table: Table) -> Iterator[tuple[str, Table]]:
    """Hostnames that no wider hostname of a table may answer for, with the table they belong to.

    They are the hostnames of the port's listeners, where there are several, and those delegated to some namespaces.
    """
    listeners = gateway.accepted(table.port)
    for listener in listeners:
        home = table_of(gateway.name, listener)
        if len(listeners) > 1:
            yield listener.hostname, home
        if home == table:
            yield from ((host, home) for host in gateway.delegated(listener))


def parent_name(route: Name, ref: ParentRef) -> Name:
    """The gateway a parent reference means."""
    return (ref.namespace or route[0], ref.name)


def attach(world: World, gateways: Collection[Name, ResolvedGateway], route: Name) -> tuple[Parent, ...] | None:
    """What became of each parent reference of a Route; None when no version of the Route can be read."""
    spec: RouteSpec | None = world.routes[route].spec
    if spec is None:
        return None
    return tuple(_attach_to(world, gateways, route, spec, index) for index in range(len(spec.parent_refs)))


def _attach_to(
    world: World, gateways: Collection[Name, ResolvedGateway], route: Name, spec: RouteSpec, index: int
) -> Parent:
    ref = spec.parent_refs[index]
    name = parent_name(route, ref)
    gateway = gateways.get(name)
    if gateway is None:
        return _refused(name, Reason.NO_MATCHING_PARENT, _no_such_gateway(world, gateways, route, name))
    meant = [one for one in gateway.listeners if _is_meant(one, ref)]
    where = f"spec.parentRefs[{index}]"
    if not meant:
        return _refused(name, Reason.NO_MATCHING_PARENT, f"{where}: {_no_such_listener(gateway, ref)}")
    standing = [one for one in meant if one.accepted]
    if not standing:
        fault = f"listener {meant[0].name} of EdgeGateway {'/'.join(name)} is itself not accepted"
        return _refused(name, Reason.NO_MATCHING_PARENT, f"{where}: {fault}; see the gateway's status")
    allowed = [one for one in standing if _namespace_allowed(world, gateway, one, route[0])]
    if not allowed:
        return _refused(
            name,
            Reason.NOT_ALLOWED_BY_LISTENERS,
            f"{where}: no listener of EdgeGateway {'/'.join(name)} allows Routes from namespace {route[0]}; "
            "ask for it in the listener's allowedRoutes.namespaces",
        )
    fitting = [one for one in allowed if one.http or not any(connection_problems(one.protocol, spec))]
    if not fitting:
        problem = next(connection_problems(allowed[0].protocol, spec))
        return _refused(name, problem.reason, f"{problem.below('spec')} (listener {allowed[0].name})")
    return _attach_hosts(gateway, fitting, route, spec)


def _no_such_gateway(world: World, gateways: Collection[Name, ResolvedGateway], route: Name, name: Name) -> str:
    """Says which gateway may be meant: that of another namespace, or a similar one; only such as may be attached to."""
    elsewhere = [one for one in world.gateways_called.bucket(name[1]) if _may_attach(world, gateways.get(one), route)]
    if elsewhere:
        other = elsewhere[0]
        return f"EdgeGateway {'/'.join(name)} does not exist; did you mean that of namespace: {other[0]}?"
    beside = [one for one in world.gateways_in.bucket(name[0]) if _may_attach(world, gateways.get(one), route)]
    hint = meant(name[1], [one[1] for one in beside]) or "create it or correct the name and namespace"
    return f"EdgeGateway {'/'.join(name)} does not exist; {hint}"


def _may_attach(world: World, gateway: ResolvedGateway | None, route: Name) -> bool:
    return gateway is not None and any(_namespace_allowed(world, gateway, one, route[0]) for one in gateway.listeners)


def _no_such_listener(gateway: ResolvedGateway, ref: ParentRef) -> str:
    known = ", ".join(f"{one.name} (port {one.port})" for one in gateway.listeners)
    hint = meant(ref.section_name or "", [one.name for one in gateway.listeners])
    found = f"EdgeGateway {'/'.join(gateway.name)} has no such listener; it has {known}; {hint or 'name one of them'}"
    if any(not one.http for one in gateway.listeners):
        found += " (listeners for TCP and TLS are attached to by sectionName only)"
    return found


@dataclass(slots=True)
class _Claims:
    """What a Route gets of the hostnames it asks for, and what it does not get."""

    attachments: list[Attachment] = field(default_factory=list)
    undelegated: list[Problem] = field(default_factory=list)
    owned: dict[str, ResolvedListener] = field(default_factory=dict)

    def problems(self) -> tuple[Problem, ...]:
        """Hostnames that nobody serves for this Route."""
        served = {host for one in self.attachments for host in one.hosts}
        return (*self.undelegated, *(_owned(host, one) for host, one in self.owned.items() if host not in served))


def _attach_hosts(gateway: ResolvedGateway, fitting: list[ResolvedListener], route: Name, spec: RouteSpec) -> Parent:
    claims = _Claims()
    for listener in fitting:
        _claim(claims, gateway, listener, route[0], spec)
    problems = claims.problems()
    if claims.attachments:
        accepted = Condition(Type.ACCEPTED, Status.TRUE, Reason.ACCEPTED)
        return Parent(gateway.name, tuple(claims.attachments), accepted, problems)
    if problems:
        return _refused(gateway.name, problems[0].reason, str(problems[0]))
    served = ", ".join(sorted({one.hostname for one in fitting}))
    return _refused(
        gateway.name,
        Reason.NO_MATCHING_LISTENER_HOSTNAME,
        f"spec.hostnames: none of {', '.join(spec.hostnames or ())} is served by the listeners, "
        f"which serve {served}; change the hostnames or attach to another listener",
    )


def _claim(
    claims: _Claims, gateway: ResolvedGateway, listener: ResolvedListener, namespace: str, spec: RouteSpec
) -> None:
    free: list[str] = []
    for host in intersection(listener.hostname, spec.hostnames or (ANY,)):
        owner = gateway.narrower_owner(listener, host)
        if owner is not None:
            claims.owned[host] = owner
        elif _host_allowed(listener.allowed, namespace, host):
            free.append(host)
        else:
            claims.undelegated.append(_undelegated(listener, host))
    if free:
        table = table_of(gateway.name, listener)
        claims.attachments.append(Attachment(listener.name, table, listener.http, tuple(free)))


def _owned(host: str, owner: ResolvedListener) -> Problem:
    return Problem(
        ("spec", "hostnames"),
        Reason.NO_MATCHING_LISTENER_HOSTNAME,
        f"{host} belongs to listener {owner.name}, whose hostname {owner.hostname} is more specific; attach to it",
    )


def _undelegated(listener: ResolvedListener, host: str) -> Problem:
    return Problem(
        ("spec", "hostnames"),
        Reason.NOT_ALLOWED_BY_LISTENERS,
        f"{host} is delegated to other namespaces on listener {listener.name}; remove it or ask for the delegation",
    )


def _is_meant(listener: ResolvedListener, ref: ParentRef) -> bool:
    # A Route for requests must not take a whole port of connections just because it leaves the name out.
    named = ref.section_name == listener.name or (ref.section_name is None and listener.http)
    return named and ref.port in (None, listener.port)


def _namespace_allowed(world: World, gateway: ResolvedGateway, listener: ResolvedListener, namespace: str) -> bool:
    rule = listener.allowed.namespaces if listener.allowed is not None else None
    if rule is None or rule.from_ == "Same":
        return namespace == gateway.name[0]
    if rule.selector is None:
        return True
    entry = world.namespaces.get(("", namespace))
    labels = entry.spec.labels if entry is not None and entry.spec is not None else {}
    return all(labels.get(key) == value for key, value in rule.selector.match_labels.items())


def _host_allowed(allowed: AllowedRoutes | None, namespace: str, host: str) -> bool:
    delegations = allowed.hostnames or () if allowed is not None else ()
    claims = [d for d in delegations if any(covers(pattern, host) for pattern in d.hostnames)]
    return not claims or any(namespace in d.namespaces for d in claims)


def _refused(gateway: Name, reason: Reason, message: str) -> Parent:
    return Parent(gateway, (), Condition(Type.ACCEPTED, Status.FALSE, reason, message))


def http_places(_route: Name, parents: tuple[Parent, ...]) -> Iterator[Place]:
    """Every hostname in every table of requests that a Route has a part in."""
    return _places(parents, http=True)


def connection_places(_route: Name, parents: tuple[Parent, ...]) -> Iterator[Place]:
    """Every hostname in every table of connections that a Route has a part in."""
    return _places(parents, http=False)


def _places(parents: tuple[Parent, ...], *, http: bool) -> Iterator[Place]:
    for parent in parents:
        for attachment in parent.attachments:
            if attachment.http is http:
                yield from (Place(attachment.table, host) for host in attachment.hosts)
