"""Which other sites may call a rule from a browser?

`cors` answers browsers' preflight requests by itself and adds the headers that let pages of the allowed origins read
answers. A preflight from elsewhere is answered without these headers and is not forwarded. A rule that takes a method
takes the preflights for that method too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from envoy.config.core.v3 import base_pb2 as core
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from pydantic import Field

from northgate.api.base import CrossRule, Duration, Regex, at_least_one, milliseconds, text
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature
from northgate.api.regex import regex_problem

_FILTER = HttpFilter("envoy.filters.http.cors", cors_pb2.Cors)
_METHOD = ":method"
_SECOND = 1000

Origin = Annotated[
    str,
    text(
        r"(\*|[a-z][a-z0-9+.-]{0,31}://(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[0-9]{1,5})?)",
        300,
    ),
]
"""An origin as browsers send it, `*.` before the host for every name below it, or `*` for every origin."""

CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "*"]
CorsHeader = Annotated[str, text(r"(\*|[A-Za-z0-9][A-Za-z0-9_-]*)", 128)]
"""Name of a header, or `*` for every header."""


class Cors(RouteFeature):
    """Pages of other origins that may call this rule."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (_FILTER,)

    allow_origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=64)] | None = None
    """Origins such as `https://www.shop.example`; `https://*.shop.example` is every name below, `*` every origin."""
    allow_origin_regexes: Annotated[tuple[Regex, ...], Field(min_length=1, max_length=16)] | None = None
    """Origins by RE2 expression; it must match the whole origin, so mind to write `\\.` for a dot."""
    allow_methods: Annotated[tuple[CorsMethod, ...], Field(min_length=1, max_length=8)] | None = None
    """Methods pages may use, `*` for all; when absent those browsers allow without asking: GET, HEAD and POST."""
    allow_headers: Annotated[tuple[CorsHeader, ...], Field(min_length=1, max_length=64)] | None = None
    """Request headers pages may set, `*` for all; when absent those browsers allow without asking."""
    expose_headers: Annotated[tuple[CorsHeader, ...], Field(min_length=1, max_length=64)] | None = None
    """Answer headers pages may read, `*` for all; when absent those browsers show without asking."""
    max_age: Duration | None = None
    """How long a browser may remember the answer to a preflight, in whole seconds; browsers' own 5s when absent."""
    allow_credentials: bool | None = None
    """True lets pages send cookies and see answers made for them; the origins must be named."""

    cross_rules = (
        at_least_one("allowOrigins", "allowOriginRegexes"),
        CrossRule(
            "!has(self.allowCredentials) || !self.allowCredentials || !has(self.allowOrigins)"
            " || !('*' in self.allowOrigins)",
            "with allowCredentials name the origins: '*' would hand users' data to every site",
            lambda cors: not (cors.allow_credentials and "*" in (cors.allow_origins or ())),
        ),
    )

    def problems(self) -> Iterable[Problem]:
        """Expressions must be ones the proxy accepts; time and headers ones that browsers do."""
        for index, pattern in enumerate(self.allow_origin_regexes or ()):
            yield from regex_problem(pattern, ("allowOriginRegexes", index))
        if self.max_age is not None and milliseconds(self.max_age) % _SECOND:
            yield Problem(("maxAge",), Reason.UNSUPPORTED_VALUE, f"{self.max_age} is not a whole number of seconds")
        if self.allow_credentials and "*" in (self.expose_headers or ()):
            found = "with allowCredentials browsers do not take '*'; name the headers"
            yield Problem(("exposeHeaders",), Reason.UNSUPPORTED_VALUE, found)

    def apply(self, draft: RouteDraft) -> None:
        """Write the policy; caches are told that answers differ by origin."""
        policy = cors_pb2.CorsPolicy(
            allow_methods=", ".join(self.allow_methods or ()),
            allow_headers=", ".join(self.allow_headers or ()),
            expose_headers=", ".join(self.expose_headers or ()),
        )
        policy.allow_origin_string_match.extend(map(_origin, self.allow_origins or ()))
        policy.allow_origin_string_match.extend(map(_matching, self.allow_origin_regexes or ()))
        policy.forward_not_matching_preflights.value = False
        if self.max_age is not None:
            policy.max_age = str(milliseconds(self.max_age) // _SECOND)
        if self.allow_credentials:
            policy.allow_credentials.value = True
        draft.enable(_FILTER.name, policy)
        vary = draft.route.response_headers_to_add.add(append_action=core.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)
        vary.header.key, vary.header.value = "vary", "origin"

    def ahead(self, draft: RouteDraft) -> Iterable[rc.Route]:
        """A preflight has the method OPTIONS and tells the real one in a header: it gets the rule it asks about."""
        wanted = next((header for header in draft.route.match.headers if header.name == _METHOD), None)
        if draft.action is None or wanted is None:
            return
        preflight = rc.Route()
        preflight.CopyFrom(draft.route)
        for header in preflight.match.headers:
            if header.name == _METHOD:
                header.name = "access-control-request-method"
        preflight.match.headers.add(name=_METHOD).string_match.exact = "OPTIONS"
        preflight.match.headers.add(name="origin", present_match=True)
        yield preflight


def _origin(origin: str) -> StringMatcher:
    if origin == "*":
        return _matching(".*")
    if "*" in origin:
        return _matching(re.escape(origin).replace(r"\*", "[^/]+"))
    return StringMatcher(exact=origin)


def _matching(pattern: str) -> StringMatcher:
    matcher = StringMatcher()
    matcher.safe_regex.regex = pattern
    return matcher
