"""How long may a request take?

`timeouts` bounds the whole exchange with the client, each try at a backend, and the silence on a stream. A request that
takes longer is answered `504`.
"""

from __future__ import annotations

from northgate.api.base import Duration, at_least_one, milliseconds
from northgate.api.feature import RouteDraft, RouteFeature

DEFAULT_REQUEST = "15s"


class Timeouts(RouteFeature):
    """Bounds on the time a request may take. `0s` switches a bound off."""

    request: Duration | None = None
    """From the end of the client's request to the end of the answer, retries included; `15s` when absent."""
    backend_request: Duration | None = None
    """For one try at a backend; not bounded on its own when absent."""
    idle: Duration | None = None
    """Silence on the stream in both directions; the listener's `5m` when absent."""

    cross_rules = (at_least_one("request", "backendRequest", "idle"),)

    def apply(self, draft: RouteDraft) -> None:
        """Set the route's timeouts. The bound on one try belongs to the retry policy, even with no retries."""
        action = draft.action
        if action is None:
            return
        action.timeout.FromMilliseconds(milliseconds(self.request or DEFAULT_REQUEST))
        if self.idle is not None:
            action.idle_timeout.FromMilliseconds(milliseconds(self.idle))
        if self.backend_request is not None:
            action.retry_policy.per_try_timeout.FromMilliseconds(milliseconds(self.backend_request))
