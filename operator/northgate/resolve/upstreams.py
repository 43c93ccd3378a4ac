"""What does an Upstream refer to, and may it be used? Services, authorities and certificates become values or problems.

TLS fails closed: without a usable authority, or without the certificate it is to show, no request is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from northgate.api.certificates import AUTHORITIES
from northgate.api.conditions import Path, Problem, Reason
from northgate.api.kubernetes import ConfigMap, Secret
from northgate.api.refs import SecretRef
from northgate.api.upstream import UpstreamSpec
from northgate.resolve.absence import absent
from northgate.resolve.grants import Reference, permitted
from northgate.resolve.services import service_problem
from northgate.world.store import Entry, Name, World


class Holder(NamedTuple):
    """A Secret or ConfigMap."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Authorities:
    """All authorities that these hold, together."""

    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate and key in this Secret."""

    secret: Name


Credential = Authorities | ClientCertificate


@dataclass(frozen=True, slots=True)
class Trust:
    """What TLS to endpoints needs: usable authorities, and the certificate to show if there is to be one."""

    authorities: Authorities
    client: ClientCertificate | None

    def credentials(self) -> tuple[Credential, ...]:
        """What a proxy must be given."""
        return (self.authorities,) if self.client is None else (self.authorities, self.client)


@dataclass(frozen=True, slots=True)
class ResolvedUpstream:
    """An Upstream with its references resolved. `unusable` is the reason why no request may be sent to it."""

    spec: UpstreamSpec
    trust: Trust | None = None
    problems: tuple[Problem, ...] = ()
    unusable: Problem | None = None


def resolve_upstream(world: World, name: Name) -> ResolvedUpstream | None:
    """An Upstream as its own object, its Services, Secrets and grants make it; None when no version can be read.

    Reads no endpoints, and holds no bytes of a Secret: a rotated certificate leaves it equal.
    """
    spec: UpstreamSpec | None = world.upstreams[name].spec
    if spec is None:
        return None
    missing = tuple(_missing_services(world, name, spec))
    nothing = missing[0] if spec.services is not None and len(missing) == len(spec.services) else None
    if spec.tls is None:
        return ResolvedUpstream(spec, None, missing, nothing)
    secured = _Secured(world, name, [])
    trust = secured.trust(spec)
    return ResolvedUpstream(spec, trust, (*missing, *secured.problems), nothing or secured.fatal(spec, trust))


def authorities_of(world: World, holder: Holder) -> bytes | None:
    """The authorities' certificates in a Secret or ConfigMap, in PEM; None when there are none that can be used."""
    entry = _entry(world, holder)
    if entry is None or entry.serving is None or not entry.serving.good:
        return None
    source: Secret | ConfigMap = entry.spec
    found = source.data.get(AUTHORITIES)
    return (found.encode() if isinstance(found, str) else found) or None


def _missing_services(world: World, name: Name, spec: UpstreamSpec) -> Iterator[Problem]:
    for index, source in enumerate(spec.services or ()):
        problem = service_problem(world, (name[0], source.name), source.port)
        if problem is not None:
            field = "port" if problem.reason is Reason.PORT_NOT_FOUND else "name"
            yield problem.below("spec", "services", index, field)


def _entry(world: World, holder: Holder) -> Entry | None:
    place = world.config_maps if holder.kind == "ConfigMap" else world.secrets
    return place.get((holder.namespace, holder.name))


@dataclass(frozen=True, slots=True)
class _Secured:
    world: World
    upstream: Name
    problems: list[Problem]

    def trust(self, spec: UpstreamSpec) -> Trust | None:
        """What of the references can be used; the rest goes to `problems`."""
        if spec.tls is None:
            return None
        authorities = [
            holder
            for index, ref in enumerate(spec.tls.ca_certificate_refs)
            if (holder := self._authority(ref, ("spec", "tls", "caCertificateRefs", index))) is not None
        ]
        ref = spec.tls.client_certificate_ref
        client = self._client(ref, ("spec", "tls", "clientCertificateRef")) if ref is not None else None
        return Trust(Authorities(tuple(dict.fromkeys(authorities))), client)

    def fatal(self, spec: UpstreamSpec, trust: Trust | None) -> Problem | None:
        """The problem for which nothing may be sent."""
        if spec.tls is None or trust is None:
            return None
        no_client = spec.tls.client_certificate_ref is not None and trust.client is None
        if no_client:
            return next(one for one in self.problems if one.path[2] == "clientCertificateRef")
        return None if trust.authorities.holders else self.problems[0]

    def _authority(self, ref: SecretRef, path: Path) -> Holder | None:
        holder = self._permitted(ref, path)
        if holder is None:
            return None
        reason = Reason.INVALID_CA_CERTIFICATE_REF
        if not self._good(holder, path, reason):
            return None
        if authorities_of(self.world, holder) is None:
            self._complain(path, reason, f"{holder} has no certificates in its key {AUTHORITIES}; add them in PEM")
            return None
        return holder

    def _client(self, ref: SecretRef, path: Path) -> ClientCertificate | None:
        holder = self._permitted(ref, path)
        reason = Reason.INVALID_CLIENT_CERTIFICATE_REF
        if holder is None or not self._good(holder, path, reason):
            return None
        entry = self.world.secrets[holder.namespace, holder.name]
        if entry.spec.type != "kubernetes.io/tls":
            self._complain(path, reason, f"{holder} is of type {entry.spec.type}; it must be kubernetes.io/tls")
            return None
        return ClientCertificate((holder.namespace, holder.name))

    def _permitted(self, ref: SecretRef, path: Path) -> Holder | None:
        holder = Holder(ref.kind or "Secret", ref.namespace or self.upstream[0], ref.name)
        reference = Reference("Upstream", self.upstream[0], "", *holder)
        if permitted(self.world, reference):
            return holder
        self._complain(path, Reason.REF_NOT_PERMITTED, reference.refused())
        return None

    def _good(self, holder: Holder, path: Path, reason: Reason) -> bool:
        entry = _entry(self.world, holder)
        if entry is None:
            self._complain(path, reason, self._absent(holder))
            return False
        if entry.serving is None or not entry.serving.good:
            self._complain(path, reason, f"{holder}: {entry.latest.problems[0]}")
            return False
        if entry.fell_back:
            self._complain(path, reason, f"{holder}: {entry.latest.problems[0]}; its previous version is still used")
        return True

    def _absent(self, holder: Holder) -> str:
        beside = self.world.config_maps_in if holder.kind == "ConfigMap" else self.world.secrets_in
        own = holder.namespace == self.upstream[0]
        return absent(holder.kind, (holder.namespace, holder.name), beside if own else None)

    def _complain(self, path: Path, reason: Reason, message: str) -> None:
        self.problems.append(Problem(path, reason, message))
