"""How are messages put together from parts that are encoded already? Protobuf's length-delimited fields."""

from __future__ import annotations

from typing import Any


def encode(message: Any) -> bytes:
    """A message in bytes; the same message gives the same bytes."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field: sub-message, string or bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """An unsigned integer in base 128, lowest group first."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
