"""What if a backend is slow to answer?

`hedge` sends a second copy of a request, to another endpoint where there is one, when no answer has begun after a
while. The first copy goes on; whichever answers first is the client's, the other is given up. It cuts the slowest
answers for the price of some more requests, so it fits rules whose requests may safely arrive twice: match `GET`, not
`POST`.

Copies count as retries: `retry.attempts` says how many there may be, and `retry.budget` bounds their share.
"""

from __future__ import annotations

from collections.abc import Iterable

from northgate.api.base import Duration, milliseconds
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.retrying import NOTHING_ARRIVED, prefer_other_endpoints


class Hedge(RouteFeature):
    """A second copy of a slow request."""

    after: Duration
    """Time without an answer after which a copy is sent; at least `1ms`, and less than `timeouts.request`."""

    def problems(self) -> Iterable[Problem]:
        """Without a time every request would be sent twice at once."""
        if milliseconds(self.after) == 0:
            yield Problem(("after",), Reason.UNSUPPORTED_VALUE, "0 is no time; write at least 1ms")

    def apply(self, draft: RouteDraft) -> None:
        """Make the bound on each try the moment of the copy, which needs a retry policy with a retry left."""
        action = draft.action
        if action is None:
            return
        action.hedge_policy.hedge_on_per_try_timeout = True
        policy = action.retry_policy
        policy.per_try_timeout.FromMilliseconds(milliseconds(self.after))
        if not policy.retry_on:
            policy.retry_on = ",".join(NOTHING_ARRIVED)
            policy.num_retries.value = 1
            prefer_other_endpoints(policy)
