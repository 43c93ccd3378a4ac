"""What may tenants say about headers? One field with its value, and how it is written for the proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from envoy.config.core.v3 import base_pb2 as core
from pydantic import Field

from northgate.api.base import HeaderName, HeaderValue, Model
from northgate.api.conditions import Path, Problem, Reason

OPERATORS = frozenset(
    {
        "DOWNSTREAM_LOCAL_PORT",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_TLS_VERSION",
        "PROTOCOL",
        "REQUESTED_SERVER_NAME",
        "RESPONSE_CODE_DETAILS",
        "RESPONSE_FLAGS",
        "START_TIME",
        "UPSTREAM_CLUSTER",
    }
)
"""Operators that say something about the request and nothing about the machine or other tenants."""

_OPERATOR = re.compile(r"%([A-Z_]+)%|%(REQ)\(([A-Za-z0-9_-]+)\)%|%")
_FORBIDDEN = frozenset({"host", "connection", "transfer-encoding", "content-length", "te", "upgrade", "keep-alive"})


class Header(Model):
    """One header field."""

    name: HeaderName
    """Name of the header."""
    value: HeaderValue
    """Its value. `%REQ(header-name)%` and the operators `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`,
    `%DOWNSTREAM_LOCAL_PORT%`, `%DOWNSTREAM_TLS_VERSION%`, `%PROTOCOL%`, `%REQUESTED_SERVER_NAME%`,
    `%RESPONSE_CODE_DETAILS%`, `%RESPONSE_FLAGS%`, `%START_TIME%`, `%UPSTREAM_CLUSTER%` are replaced; any other `%` is
    literal."""


Headers = Annotated[tuple[Header, ...], Field(min_length=1, max_length=32)]


def header_problem(name: str, path: Path, host_remedy: str) -> Iterable[Problem]:
    """The problem with changing a header that the protocol owns: proxies refuse it, or it would break connections."""
    if name.lower() in _FORBIDDEN:
        remedy = host_remedy if name.lower() == "host" else "the connection owns it; leave it out"
        yield Problem(path, Reason.UNSUPPORTED_VALUE, f"header {name!r} cannot be changed here: {remedy}")


def literal(value: str) -> str:
    """A header value as Envoy must see it: allowed operators stay, every other percent sign is doubled."""

    def replace(found: re.Match[str]) -> str:
        allowed = found[1] in OPERATORS or found[2] is not None
        return found[0] if allowed else found[0].replace("%", "%%")

    return _OPERATOR.sub(replace, value)


def set_headers(options: Any, headers: Iterable[Header]) -> None:
    """Append one option for each header that replaces what is there."""
    for header in headers:
        _option(options, header, core.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)


def add_headers(options: Any, headers: Iterable[Header]) -> None:
    """Append one option for each header that is added beside those of the same name."""
    for header in headers:
        _option(options, header, core.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)


def _option(options: Any, header: Header, action: int) -> None:
    option = options.add(append_action=action, keep_empty_value=True)
    option.header.key = header.name.lower()
    option.header.value = literal(header.value)
