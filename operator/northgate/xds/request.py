"""What a proxy asked: discovery requests of both dialects as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest
from google.protobuf.message import DecodeError

WILDCARD = "*"


class Dialect(Enum):
    """The two forms of the protocol."""

    STATE = "state-of-the-world"
    DELTA = "delta"


class MalformedError(ValueError):
    """The bytes are no discovery request, or miss what every request must have."""


@dataclass(frozen=True, slots=True)
class Node:
    """Who asks. `cluster` names the group unless the server maps nodes in its own way."""

    id: str
    cluster: str = ""
    agent: str = ""
    locality: tuple[str, str, str] = ("", "", "")
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `names` is meant by State-of-the-World; `subscribe`, `unsubscribe`, `versions` by delta.

    `error` is the proxy's raw text: it may contain secrets and must be scrubbed before anybody sees it.
    """

    type_url: str
    nonce: str = ""
    node: Node | None = None
    error: str | None = field(default=None, repr=False)
    version: str = ""
    names: frozenset[str] = frozenset()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse(dialect: Dialect, data: bytes) -> Request:
    """The request in some bytes. Raises MalformedError."""
    message: Any = DiscoveryRequest() if dialect is Dialect.STATE else DeltaDiscoveryRequest()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise MalformedError("not a discovery request") from None
    if not message.type_url:
        raise MalformedError("type_url is required on an aggregated stream")
    return _state(message) if dialect is Dialect.STATE else _delta(message)


def _state(message: Any) -> Request:
    return Request(
        message.type_url,
        message.response_nonce,
        _node(message),
        _error(message),
        message.version_info,
        frozenset(message.resource_names),
    )


def _delta(message: Any) -> Request:
    return Request(
        message.type_url,
        message.response_nonce,
        _node(message),
        _error(message),
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        versions=dict(message.initial_resource_versions),
    )


def _error(message: Any) -> str | None:
    return message.error_detail.message if message.HasField("error_detail") else None


def _node(message: Any) -> Node | None:
    if not message.HasField("node"):
        return None
    node = message.node
    metadata = {key: value.string_value for key, value in node.metadata.fields.items() if value.string_value}
    place = node.locality
    return Node(node.id, node.cluster, node.user_agent_name, (place.region, place.zone, place.sub_zone), metadata)
