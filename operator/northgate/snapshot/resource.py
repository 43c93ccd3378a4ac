"""What a proxy can be given: one encoded Envoy resource, and the change from one set of them to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from northgate.translate import wire

_PREFIX = "type.googleapis.com/envoy.config."

LISTENER = f"{_PREFIX}listener.v3.Listener"
ROUTE = f"{_PREFIX}route.v3.RouteConfiguration"
CLUSTER = f"{_PREFIX}cluster.v3.Cluster"
ENDPOINT = f"{_PREFIX}endpoint.v3.ClusterLoadAssignment"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type URL

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)
"""Every type this control plane publishes, in the order additions are made."""


def content_version(*parts: bytes) -> str:
    """The version of some content: 16 hexadecimal digits of its blake2b-64 hash.

    Equal content has an equal version on every replica, for ever (xDS: versions derive from content).
    """
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Resource:
    """One Envoy resource, serialised once and shared by every stream.

    `body` is the serialised message (the value of the `Any`). `depends` names the resources of other types that
    must be ACKed before this one may be sent: for a RouteConfiguration or Listener the clusters it routes to; for a
    Cluster the name of its EDS assignment.
    """

    type_url: str
    name: str
    version: str
    body: bytes = field(repr=False)
    depends: frozenset[str] = field(default=frozenset(), repr=False)


def encoded_resource(type_url: str, name: str, message: Any, depends: frozenset[str] = frozenset()) -> Resource:
    """A message, or its bytes where it is joined from encoded parts, as a resource; equal content is equal."""
    body = message if isinstance(message, bytes) else wire.encode(message)
    return Resource(type_url, name, content_version(body), body, depends)


@dataclass(frozen=True, slots=True)
class TypeDelta:
    """What changed in one type: resources to put (new or with another version) and names to take away."""

    changed: Mapping[str, Resource] = field(default_factory=lambda: MappingProxyType({}))
    removed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Delta:
    """The change from one snapshot of a gateway to the next, by type URL. Types without a change are absent."""

    types: Mapping[str, TypeDelta] = field(default_factory=lambda: MappingProxyType({}))

    def __bool__(self) -> bool:
        return any(self.types.values())
