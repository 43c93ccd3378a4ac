"""How does the edge answer by itself?

`respond` returns a fixed status, body and headers; no backend is asked. Percent signs in the body are plain text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field

from northgate.api.base import text
from northgate.api.bodiless import BODY_FITS
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.header import Headers, header_problem, set_headers

_LONGEST_BODY = 4096

Body = Annotated[str, text(r"[^\x00]*", _LONGEST_BODY, 0)]


class Respond(RouteFeature):
    """A fixed answer."""

    answers: ClassVar[bool] = True

    status: Annotated[int, Field(ge=200, le=599)]
    """Status of the answer."""
    body: Body | None = None
    """Body of the answer, at most 4096 bytes in UTF-8; empty when absent."""
    headers: Headers | None = None
    """Headers of the answer; `content-type` is `text/plain` when absent."""

    cross_rules = (BODY_FITS,)

    def problems(self) -> Iterable[Problem]:
        """The proxy's bound on the body is in bytes, the schema's in characters; the protocol owns some headers."""
        size = len((self.body or "").encode())
        if size > _LONGEST_BODY:
            found = f"has {size} bytes in UTF-8; shorten it to {_LONGEST_BODY}"
            yield Problem(("body",), Reason.UNSUPPORTED_VALUE, found)
        for index, header in enumerate(self.headers or ()):
            yield from header_problem(header.name, ("headers", index, "name"), "it belongs to requests; leave it out")

    def apply(self, draft: RouteDraft) -> None:
        """Make the route a direct response."""
        response = draft.route.direct_response
        response.status = self.status
        if self.body:
            response.body.inline_string = self.body
        set_headers(draft.route.response_headers_to_add, self.headers or ())
