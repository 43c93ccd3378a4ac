"""Which requests does a rule take? Matches on path, method, headers, query, cookies, client address and a share."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from northgate.api.base import Cidr, CrossRule, HeaderName, HeaderValue, Model, Percent, at_least_one, text

MatchText = Annotated[str, text(r"[\x20-\x7e]*", 1024, 0)]

_NEEDS_VALUE = CrossRule(
    "has(self.type) && self.type == 'Present' ? !has(self.value) : has(self.value)",
    "value is required, except for type: Present, where it is forbidden",
    lambda match: (match.value is None) == (match.type == "Present"),
)


class PathMatch(Model):
    """A path, without its query."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = None
    """`PathPrefix` (when absent) matches whole segments: `/api` takes `/api` and `/api/x`, not `/apix`."""
    value: Annotated[str, text(r"[\x21-\x7e]+", 1024)]
    """The path, prefix or RE2 expression; an expression must match the whole path. `.` and `..` never reach it."""

    cross_rules = (
        CrossRule(
            "(has(self.type) && self.type == 'RegularExpression') || self.value.startsWith('/')",
            "a path begins with '/'",
            lambda match: match.type == "RegularExpression" or match.value.startswith("/"),
        ),
        CrossRule(
            "(has(self.type) && self.type == 'RegularExpression') || !self.value.matches('[?#]')",
            "a path has no '?' or '#'; match the query with queryParams",
            lambda match: match.type == "RegularExpression" or not set(match.value) & {"?", "#"},
        ),
    )


class HeaderMatch(Model):
    """A request header."""

    name: HeaderName
    """Name of the header; case does not matter."""
    type: Literal["Exact", "Prefix", "Suffix", "Contains", "RegularExpression", "Present"] | None = None
    """How the value is compared; `Exact` when absent. Of several fields of one name, one that matches is enough."""
    value: HeaderValue | None = None
    """What the header is compared with."""
    invert: bool | None = None
    """True takes the requests that do not match, those without the header included."""

    cross_rules = (_NEEDS_VALUE,)


class QueryParamMatch(Model):
    """A query parameter, as the client wrote it: `%20` stays `%20`. The first of its name counts."""

    name: Annotated[str, text(r"[\x21-\x7e]+", 128)]
    """Name of the parameter; case matters."""
    type: Literal["Exact", "Prefix", "Suffix", "Contains", "RegularExpression", "Present"] | None = None
    """How the value is compared; `Exact` when absent."""
    value: MatchText | None = None
    """What the parameter is compared with."""

    cross_rules = (_NEEDS_VALUE,)


class CookieMatch(Model):
    """A cookie of the request. The first of its name counts."""

    name: Annotated[str, text(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", 128)]
    """Name of the cookie; case matters."""
    type: Literal["Exact", "Prefix", "Suffix", "Contains", "RegularExpression", "Present"] | None = None
    """How the value is compared; `Exact` when absent."""
    value: MatchText | None = None
    """What the cookie is compared with."""
    invert: bool | None = None
    """True takes the requests that do not match, those without the cookie included."""

    cross_rules = (_NEEDS_VALUE,)


class Match(Model):
    """One description of requests; all of its parts must hold."""

    path: PathMatch | None = None
    """The path; every path when absent."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] | None = None
    """The method; every method when absent."""
    headers: Annotated[tuple[HeaderMatch, ...], Field(min_length=1, max_length=16)] | None = None
    """Headers, all of which must match."""
    query_params: Annotated[tuple[QueryParamMatch, ...], Field(min_length=1, max_length=16)] | None = None
    """Query parameters, all of which must match."""
    cookies: Annotated[tuple[CookieMatch, ...], Field(min_length=1, max_length=16)] | None = None
    """Cookies, all of which must match."""
    client_addresses: Annotated[tuple[Cidr, ...], Field(min_length=1, max_length=64)] | None = None
    """Networks the client must be in, after `hardening.trustedHops` is taken into account."""
    percent: Percent | None = None
    """Share of the otherwise matching requests, chosen at random for each; the rest goes on to the next rule.
    Equal matches of one Route take their shares side by side: with `"30"`, `"30"` and none they get 30, 30 and 40 %.
    Where matches overlap without being equal, a request that a larger share left is not in a smaller one either."""

    cross_rules = (at_least_one("path", "method", "headers", "queryParams", "cookies", "clientAddresses", "percent"),)


EVERYTHING: Final = Match.model_construct()
"""The match of a rule that has none: every request."""
