"""How is a rule taken out of service for a while?

`maintenance` holds a page ready that answers every request of the rule while `enabled` is true; no backend is asked
and none need exist. Operators can also switch it at one proxy, without any change of objects and even with no control
plane: the runtime key `maint.<namespace>/<route>/<rule>`, where the rule is its name, or its number from 0 when it has
none, is the share of requests in percent that get the page. `POST /runtime_modify?maint.demo/shop/api=100` on the
proxy's admin socket switches it on and `=0` off; an empty value gives the word back to `enabled`.

The page stands before everything else the rule says: clients that `access` or a login would refuse get it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from envoy.config.core.v3 import base_pb2 as core
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.v3 import percent_pb2
from pydantic import Field

from northgate.api.base import Model, text
from northgate.api.bodiless import HAS_BODY
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature

_UNAVAILABLE = 503
_BODY = "Down for maintenance.\n"
_LONGEST_BODY = 4096
_EVERYTHING = 100

ContentType = Annotated[str, text(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?", 100)]


class Page(Model):
    """What is answered meanwhile."""

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    """Status of the answer; 503 when absent."""
    body: Annotated[str, text(r"[^\x00]*", _LONGEST_BODY, 0)] | None = None
    """Body of the answer, at most 4096 bytes in UTF-8; a line that says so when absent."""
    content_type: ContentType | None = None
    """Media type of the body; `text/plain` when absent."""

    cross_rules = (HAS_BODY,)


class Maintenance(RouteFeature):
    """A page instead of the rule's action."""

    enabled: bool | None = None
    """True answers every request with the page; false when absent: the page only stands by."""
    page: Page | None = None
    """What is answered meanwhile."""

    def problems(self) -> Iterable[Problem]:
        """The proxy's bound is in bytes, the schema's in characters."""
        if self.page is not None and len((self.page.body or "").encode()) > _LONGEST_BODY:
            found = f"longer than {_LONGEST_BODY} bytes in UTF-8; shorten it"
            yield Problem(("page", "body"), Reason.UNSUPPORTED_VALUE, found)

    def ahead(self, draft: RouteDraft) -> Iterable[rc.Route]:
        """The page's route: it takes the share of requests that the runtime key says."""
        page = self.page or Page()
        route = rc.Route(name=draft.rule_id)
        route.match.CopyFrom(draft.route.match)
        share = route.match.runtime_fraction
        share.runtime_key = f"maint.{draft.rule_id}"
        share.default_value.numerator = _EVERYTHING if self.enabled else 0
        share.default_value.denominator = percent_pb2.FractionalPercent.HUNDRED
        route.direct_response.status = page.status or _UNAVAILABLE
        body = _BODY if page.body is None else page.body
        if body:
            route.direct_response.body.inline_string = body
        if page.content_type is not None:
            kind = route.response_headers_to_add.add(append_action=core.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
            kind.header.key, kind.header.value = "content-type", page.content_type
        yield route
