"""What is an object told about itself? Conditions with closed sets of types and reasons, and problems with a path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where in an object: `("spec", "rules", 2, "cors")`."""


def dotted(path: Iterable[str | int]) -> str:
    """A path as users write it: `spec.rules[2].cors`."""
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}" if words else step
    return words


class Type(StrEnum):
    """Types of conditions. True is good for the first four; the others appear only when they are True."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    PARTIALLY_INVALID = "PartiallyInvalid"
    CONFLICTED = "Conflicted"
    DEGRADED = "Degraded"
    OVERLAPPING_TLS_CONFIG = "OverlappingTLSConfig"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why a condition has its status. A closed set: each has a test case and a line in the documentation."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    PENDING = "Pending"
    WAITING_FOR_ACK = "WaitingForAck"
    WAITING_FOR_REFERENCE = "WaitingForReference"
    INVALID = "Invalid"
    LISTENERS_NOT_VALID = "ListenersNotValid"
    LISTENERS_NOT_RESOLVED = "ListenersNotResolved"
    PORT_UNAVAILABLE = "PortUnavailable"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    INVALID_CERTIFICATE_REF = "InvalidCertificateRef"
    INVALID_CA_CERTIFICATE_REF = "InvalidCACertificateRef"
    INVALID_CLIENT_CERTIFICATE_REF = "InvalidClientCertificateRef"
    REF_NOT_PERMITTED = "RefNotPermitted"
    HOSTNAME_CONFLICT = "HostnameConflict"
    PROTOCOL_CONFLICT = "ProtocolConflict"
    OVERLAPPING_HOSTNAMES = "OverlappingHostnames"
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_MATCHING_LISTENER_HOSTNAME = "NoMatchingListenerHostname"
    NO_MATCHING_PARENT = "NoMatchingParent"
    BACKEND_NOT_FOUND = "BackendNotFound"
    INVALID_KIND = "InvalidKind"
    PORT_NOT_FOUND = "PortNotFound"
    ROUTE_RULES_OVERLAP = "RouteRulesOverlap"
    REJECTED_BY_PROXY = "RejectedByProxy"
    PARTIALLY_PROGRAMMED = "PartiallyProgrammed"
    NO_PROXIES_CONNECTED = "NoProxiesConnected"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NOT_YET_VALID = "CertificateNotYetValid"
    CERTIFICATE_EXPIRING = "CertificateExpiring"


@dataclass(frozen=True, slots=True)
class Problem:
    """A user's mistake: where, which reason, and a sentence that says what was found and what to do."""

    path: Path
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message

    def below(self, *prefix: str | int) -> Problem:
        """The same problem seen from further out."""
        return Problem((*prefix, *self.path), self.reason, self.message)


class Status(StrEnum):
    """The three values a condition's status can have."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without the time of its last transition, which belongs to whoever publishes it."""

    type: Type
    status: Status
    reason: Reason
    message: str = ""
