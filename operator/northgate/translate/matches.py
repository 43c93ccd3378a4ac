"""How does Envoy recognise the requests of a match?"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3 import percent_pb2

from northgate.api.feature import Share
from northgate.api.match import CookieMatch, HeaderMatch, Match, PathMatch, QueryParamMatch
from northgate.translate import wire

CLIENT_ADDRESS = "northgate.client_address"
"""Filter state that holds the client's address when a match asks for it."""

_COOKIES_FIELD = 17
"""Of a RouteMatch."""
_TRUE = b"\x18\x01"
"""Field 3, true."""
_STRING_FIELDS = {"Exact": "exact", "Prefix": "prefix", "Suffix": "suffix", "Contains": "contains"}


def route_match(match: Match, share: Share) -> rc.RouteMatch:
    """The Envoy match of one match of a rule, which takes this share of the requests where it has a `percent`."""
    found = rc.RouteMatch()
    write_path(match.path, found)
    if match.method is not None:
        found.headers.add(name=":method").string_match.exact = match.method
    for header in match.headers or ():
        _header(found.headers.add(name=header.name.lower()), header)
    for parameter in match.query_params or ():
        _value(found.query_parameters.add(name=parameter.name), parameter)
    for cookie in match.cookies or ():
        found.MergeFromString(wire.field(_COOKIES_FIELD, _cookie(cookie)))
    if match.client_addresses is not None:
        _client_addresses(found, match.client_addresses)
    if match.percent is not None:
        write_fraction(found.runtime_fraction.default_value, share.high)
    return found


def write_path(path: PathMatch | None, found: rc.RouteMatch) -> None:
    """Write a path match; no path at all is every path."""
    value = path.value if path is not None else "/"
    kind = path.type if path is not None else None
    if kind == "Exact":
        found.path = value
    elif kind == "RegularExpression":
        found.safe_regex.regex = value
    elif value.rstrip("/"):
        found.path_separated_prefix = value.rstrip("/")
    else:
        found.prefix = "/"


def write_string(matcher: Any, kind: str | None, value: str | None) -> None:
    """Write a StringMatcher; `Present` is any value."""
    if kind == "RegularExpression":
        matcher.safe_regex.regex = value
    elif kind == "Present":
        matcher.safe_regex.regex = "(?s).*"
    elif kind in (None, "Exact") or value:
        setattr(matcher, _STRING_FIELDS[kind or "Exact"], value)
    else:
        matcher.safe_regex.regex = "(?s).*"


def write_fraction(percent: Any, parts: int) -> None:
    """Write a FractionalPercent from parts of a million."""
    percent.numerator = parts
    percent.denominator = percent_pb2.FractionalPercent.MILLION


def _header(matcher: rc.HeaderMatcher, header: HeaderMatch) -> None:
    """An inverted match takes requests without the header too; the proxy does so only if it reads them as empty."""
    matcher.invert_match = bool(header.invert)
    matcher.treat_missing_header_as_empty = matcher.invert_match and header.type != "Present"
    _value(matcher, header)


def _cookie(cookie: CookieMatch) -> bytes:
    """A CookieMatcher, which the message library does not know yet: name, value and whether it is inverted."""
    value = StringMatcher()
    write_string(value, cookie.type, cookie.value)
    inverted = _TRUE if cookie.invert else b""
    return wire.field(1, cookie.name.encode()) + wire.field(2, wire.encode(value)) + inverted


def _value(matcher: Any, part: HeaderMatch | QueryParamMatch) -> None:
    if part.type == "Present":
        matcher.present_match = True
    else:
        write_string(matcher.string_match, part.type, part.value)


def _client_addresses(found: rc.RouteMatch, networks: tuple[str, ...]) -> None:
    matcher = found.filter_state.add(key=CLIENT_ADDRESS)
    for network in map(ip_network, networks):
        entry = matcher.address_match.ranges.add(address_prefix=str(network.network_address))
        entry.prefix_len.value = network.prefixlen
