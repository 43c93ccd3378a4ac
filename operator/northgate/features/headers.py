"""Which headers are set, added or removed on the way?

`requestHeaders` changes what the backend sees, `responseHeaders` what the client sees. Values are plain text, except
for the operators listed at `value`; every other percent sign is literal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from northgate.api.base import HeaderName, at_least_one
from northgate.api.conditions import Path, Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.header import Headers, add_headers, header_problem, set_headers

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
        add_headers(options, self.add or ())
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
