"""How is a request changed before it is forwarded?

`rewrite` replaces the path, its matched prefix or a part found by an expression, and the host the backend sees. The
query is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from northgate.api.base import PreciseHostname, at_least_one
from northgate.api.conditions import Problem
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.path_rewrite import PathRewrite


class Rewrite(RouteFeature):
    """Change path or host on the way to the backend."""

    path: PathRewrite | None = None
    """The new path."""
    hostname: PreciseHostname | None = None
    """The host the backend sees; the client's when absent."""

    cross_rules = (at_least_one("path", "hostname"),)

    def problems(self) -> Iterable[Problem]:
        """The expression must be one RE2 accepts within the proxy's limit."""
        if self.path is not None:
            yield from (problem.below("path") for problem in self.path.problems())

    def apply(self, draft: RouteDraft) -> None:
        """Write the rewrite into the route's action."""
        action = draft.action
        if action is None:
            return
        if self.hostname is not None:
            action.host_rewrite_literal = self.hostname
        if self.path is not None:
            self.path.write(action, draft.prefix)
