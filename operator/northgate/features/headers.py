"""Which headers are set, added or removed on the way?

`requestHeaders` changes what the backend sees, `responseHeaders` what the client sees. Values are plain text, except
for the operators listed at `value`; every other percent sign is literal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from envoy.config.core.v3 import base_pb2 as core
from pydantic import Field

from northgate.api.base import HeaderName, HeaderValue, Model, at_least_one
from northgate.api.conditions import Path, Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature

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
Names = Annotated[tuple[HeaderName, ...], Field(min_length=1, max_length=32)]


class _HeaderChanges(RouteFeature):
    set: Headers | None = None
    """Headers whose old values are replaced."""
    add: Headers | None = None
    """Headers added beside those of the same name."""
    remove: Names | None = None
    """Headers taken away."""

    cross_rules = (at_least_one("set", "add", "remove"),)

    host_remedy: ClassVar[str] = "it belongs to requests; leave it out"

    def problems(self) -> Iterable[Problem]:
        """Headers that the protocol owns must be left alone."""
        for path, name in self._names():
            yield from header_problem(name, path, self.host_remedy)

    def _names(self) -> Iterable[tuple[Path, str]]:
        for block in ("set", "add"):
            for index, header in enumerate(getattr(self, block) or ()):
                yield (block, index, "name"), header.name
        for index, name in enumerate(self.remove or ()):
            yield ("remove", index), name

    def _write(self, options: Any, removed: Any) -> None:
        set_headers(options, self.set or ())
        for header in self.add or ():
            _option(options, header, core.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)
        removed.extend(name.lower() for name in self.remove or ())


class RequestHeaders(_HeaderChanges):
    """Changes to the headers the backend sees."""

    host_remedy: ClassVar[str] = "use rewrite.hostname"

    def problems(self) -> Iterable[Problem]:
        """Besides, the proxy would take orders by headers of its own: retries and times without bounds."""
        yield from super().problems()
        for path, name in self._names():
            if path[0] != "remove" and name.lower().startswith("x-envoy-"):
                found = f"header {name!r} is an order to the proxy; use the blocks retry and timeouts"
                yield Problem(path, Reason.UNSUPPORTED_VALUE, found)

    def apply(self, draft: RouteDraft) -> None:
        """Write the route's request header changes."""
        self._write(draft.route.request_headers_to_add, draft.route.request_headers_to_remove)


class ResponseHeaders(_HeaderChanges):
    """Changes to the headers the client sees."""

    def apply(self, draft: RouteDraft) -> None:
        """Write the route's response header changes."""
        self._write(draft.route.response_headers_to_add, draft.route.response_headers_to_remove)


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


def _option(options: Any, header: Header, action: int) -> None:
    option = options.add(append_action=action, keep_empty_value=True)
    option.header.key = header.name.lower()
    option.header.value = literal(header.value)
