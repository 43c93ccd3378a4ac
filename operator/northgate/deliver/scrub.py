"""What may be told of a proxy's error text: known phrases and the names of our own resources, nothing else.

Envoy's texts quote whole resources, private keys among them. So nothing of the text itself is passed on: the result is
put together from phrases kept here and from names we published.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

UNKNOWN = "refused for a reason that may quote secrets and is withheld"

_PHRASES = (
    "Error adding/updating cluster(s)",
    "Error adding/updating listener(s)",
    "Proto constraint validation failed",
    "Didn't find a registered implementation",
    "Only a single virtual host with wildcard domain",
    "Only unique values for domains are permitted",
    "Only unique names for virtual hosts are allowed",
    ":-prefixed or host headers may not be modified",
    "route: unknown cluster",
    "unknown cluster",
    "malformed IP address",
    "cannot bind",
    "Address already in use",
    "Permission denied",
    "duplicate listener",
    "has duplicate address",
    "duplicate cluster",
    "duplicate resource",
    "Failed to load certificate chain",
    "Failed to load incomplete private key",
    "Failed to load private key",
    "Failed to load trusted CA",
    "no private key found",
    "do not match",
    "Unable to parse JSON as proto",
    "Unable to unpack as",
    "Unexpected EDS cluster",
    "no such field",
    "missing endpoints",
    "Unexpected RDS configuration",
    "unknown filter chain match",
    "multiple filter chains with the same matching rules",
    "overlapping matching rules",
    "filter must be the terminal",
    "terminal filter",
    "Invalid path",
    "value is required",
    "value must be",
    "value length must be",
    "is not supported",
)
# The class and field of a violated constraint come from Envoy's own code, never from a resource.
_CONSTRAINT = re.compile(r"\b([A-Z][A-Za-z]{2,40}ValidationError\.[A-Z][A-Za-z]{1,40})\b")
_MOST_CONSTRAINTS = 4
_LONGEST_READ = 65536
_BLAMED = re.compile(r"(?:^|, |\n)(\S+): ")
_NAMING = ("Error adding/updating cluster(s) ", "Error adding/updating listener(s) ")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A scrubbed error text. `culprits`: the resources Envoy names as refused, empty if it names none."""

    message: str
    culprits: tuple[str, ...] = ()


def scrub(raw: str, names: Collection[str]) -> Refusal:
    """What may be told of a text, given the names of the resources in the refused response."""
    culprits = _culprits(raw, names)
    said = [phrase for phrase in _PHRASES if phrase in raw]
    constraints = dict.fromkeys(_CONSTRAINT.findall(raw[:_LONGEST_READ]))
    told = "; ".join((*said, *tuple(constraints)[:_MOST_CONSTRAINTS])) or UNKNOWN
    return Refusal(f"{told} ({', '.join(culprits)})" if culprits else told, culprits)


def _culprits(raw: str, names: Collection[str]) -> tuple[str, ...]:
    """Envoy writes `<prefix>a: why, b: why` for clusters and `<prefix>a: why` per line for listeners."""
    for prefix in _NAMING:
        if raw.startswith(prefix):
            blamed = set(_BLAMED.findall(raw[len(prefix) : _LONGEST_READ]))
            return tuple(sorted(name for name in blamed if name in names))
    return tuple(names) if len(names) == 1 else ()
