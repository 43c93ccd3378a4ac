"""How is a client sent elsewhere?

`redirect` answers with a `Location` header: another scheme, host, port or path. What is not named stays as the client
sent it, the query included; only a port is never taken over, since clients name ports that others map.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from envoy.config.route.v3 import route_components_pb2 as rc

from northgate.api.base import Port, PreciseHostname, at_least_one
from northgate.api.conditions import Problem
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.path_rewrite import PathRewrite

_CODES = {
    301: rc.RedirectAction.MOVED_PERMANENTLY,
    302: rc.RedirectAction.FOUND,
    303: rc.RedirectAction.SEE_OTHER,
    307: rc.RedirectAction.TEMPORARY_REDIRECT,
    308: rc.RedirectAction.PERMANENT_REDIRECT,
}


class Redirect(RouteFeature):
    """Answer with a redirect."""

    answers: ClassVar[bool] = True

    scheme: Literal["http", "https"] | None = None
    """Scheme of the new URL."""
    hostname: PreciseHostname | None = None
    """Host of the new URL."""
    port: Port | None = None
    """Port of the new URL; the scheme's usual one when absent. Name it where the listener's port is another."""
    path: PathRewrite | None = None
    """Path of the new URL."""
    strip_query: bool | None = None
    """True leaves the query out."""
    status_code: Literal[301, 302, 303, 307, 308] | None = None
    """Status of the answer; 302 when absent."""

    cross_rules = (at_least_one("scheme", "hostname", "port", "path", "stripQuery"),)

    def problems(self) -> Iterable[Problem]:
        """The expression must be one RE2 accepts within the proxy's limit."""
        if self.path is not None:
            yield from (problem.below("path") for problem in self.path.problems())

    def apply(self, draft: RouteDraft) -> None:
        """Make the route a redirect."""
        action = draft.route.redirect
        action.response_code = _CODES[self.status_code or 302]
        if self.scheme is not None:
            action.scheme_redirect = self.scheme
        if self.hostname is not None:
            action.host_redirect = self.hostname
        if self.port is not None:
            action.port_redirect = self.port
        if self.path is not None:
            self.path.write(action, draft.prefix)
        action.strip_query = bool(self.strip_query)
