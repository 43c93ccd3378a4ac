"""How resources and responses look on the wire: length-delimited protobuf fields, joined and never parsed.

Field numbers are those of `envoy.service.discovery.v3`. A message may carry its fields in any order, so a response
is a head, the ready frames of its resources and a tail.
"""

from __future__ import annotations

from collections.abc import Iterable

from northgate.snapshot.resource import Resource

_MORE = 0x80
_LENGTH_DELIMITED = 2


def varint(number: int) -> bytes:
    """The base-128 form of a number that is not negative."""
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(payload)) + payload


def text(number: int, value: str) -> bytes:
    """One string field; nothing at all for the empty string, as proto3 has it."""
    return field(number, value.encode()) if value else b""


def any_message(type_url: str, body: bytes) -> bytes:
    """The payload of a `google.protobuf.Any`."""
    return text(1, type_url) + field(2, body)


def state_frame(type_url: str, body: bytes) -> bytes:
    """`DiscoveryResponse.resources`: one Any."""
    return field(2, any_message(type_url, body))


def delta_frame(resource: Resource) -> bytes:
    """`DeltaDiscoveryResponse.resources`: one Resource with name, version and Any."""
    wrapped = field(2, any_message(resource.type_url, resource.body))
    return field(2, text(3, resource.name) + text(1, resource.version) + wrapped)


def state_response(type_url: str, version: str, identifier: str, frames: Iterable[bytes]) -> bytes:
    """A DiscoveryResponse that lacks nothing but its nonce."""
    head = text(1, version) + text(4, type_url) + field(6, text(1, identifier))
    return b"".join((head, *frames))


def delta_response(type_url: str, version: str, identifier: str, frames: Iterable[bytes]) -> bytes:
    """A DeltaDiscoveryResponse that lacks nothing but its nonce; removals are frames too (`removed_frame`)."""
    head = text(1, version) + text(4, type_url) + field(7, text(1, identifier))
    return b"".join((head, *frames))


def removed_frame(name: str) -> bytes:
    """`DeltaDiscoveryResponse.removed_resources`: one name."""
    return field(6, name.encode())


def nonce_field(nonce: str) -> bytes:
    """`nonce`, field 5 in both dialects."""
    return text(5, nonce)


def empty_assignment(name: str) -> bytes:
    """A serialised ClusterLoadAssignment without endpoints: it ends the warming of a cluster nobody serves."""
    return text(1, name)
