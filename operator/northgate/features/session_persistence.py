"""How does a client stay at one endpoint?

`sessionPersistence` gives a client, with its first answer, a cookie or header that names the endpoint it was served by.
Requests that bring it back go to the same endpoint; once that is gone or fails its health check they go to another one,
and the client gets a new value. Nothing is stored at the edge, so every proxy honours it. The value is the endpoint's
address, encoded but not secret. It counts inside one backend, so the rule has exactly one; put several Services into
one Upstream. Two rules for the same clients need different names, or paths, for their cookies.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from envoy.extensions.filters.http.stateful_session.v3.stateful_session_pb2 import (
    StatefulSession,
    StatefulSessionPerRoute,
)
from envoy.extensions.http.stateful_session.cookie.v3.cookie_pb2 import CookieBasedSessionState
from envoy.extensions.http.stateful_session.header.v3.header_pb2 import HeaderBasedSessionState

from northgate.api.base import AbsolutePath, Duration, HeaderName, Model, exactly_one, milliseconds, text
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature

STATEFUL_SESSION: Final = HttpFilter("envoy.filters.http.stateful_session", StatefulSession)
"""Sends a request to the endpoint its session names."""


class SessionCookie(Model):
    """A cookie that names the endpoint; scripts of a page cannot read it."""

    name: Annotated[str, text(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", 128)]
    """Name of the cookie."""
    ttl: Duration | None = None
    """How long the client keeps it, in whole seconds; until the browser is closed when absent or `0s`."""
    path: AbsolutePath | None = None
    """Path the cookie is for; `/` when absent."""


class SessionHeader(Model):
    """A header that names the endpoint: it comes with an answer, and the client sends it with later requests."""

    name: HeaderName
    """Name of the header."""


class SessionPersistence(RouteFeature):
    """Keep a client at one endpoint."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (STATEFUL_SESSION,)

    cookie: SessionCookie | None = None
    """By a cookie."""
    header: SessionHeader | None = None
    """By a header, for clients that keep no cookies."""

    cross_rules = (exactly_one("cookie", "header"),)

    def apply(self, draft: RouteDraft) -> None:
        """Switch the filter on with this session."""
        session = StatefulSessionPerRoute()
        state = session.stateful_session.session_state
        if self.cookie is not None:
            state.name = "envoy.http.stateful_session.cookie"
            state.typed_config.Pack(_by_cookie(self.cookie), deterministic=True)
        elif self.header is not None:
            state.name = "envoy.http.stateful_session.header"
            state.typed_config.Pack(HeaderBasedSessionState(name=self.header.name.lower()), deterministic=True)
        draft.enable(STATEFUL_SESSION.name, session)


def _by_cookie(cookie: SessionCookie) -> CookieBasedSessionState:
    state = CookieBasedSessionState()
    state.cookie.name = cookie.name
    state.cookie.path = cookie.path or "/"
    if cookie.ttl is not None:
        state.cookie.ttl.FromSeconds(-(-milliseconds(cookie.ttl) // 1000))
    return state
