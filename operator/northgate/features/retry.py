"""When is a failed request tried again?

`retry` sends a request that failed in one of the listed ways to another endpoint, waiting a little longer each time. A
budget bounds the retries of the whole proxy to a share of its live requests, so that an outage is not made worse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from northgate.api.base import Duration, Model, Percent, milliseconds, unique
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.retrying import NOTHING_ARRIVED, RetryOn, prefer_other_endpoints


class Backoff(Model):
    """Pause before a retry: random between zero and a bound that doubles each time."""

    base: Duration
    """Bound of the first pause; at least `1ms`."""
    max: Duration | None = None
    """Largest bound; ten times the base when absent."""


class Budget(Model):
    """How many retries may be in flight at a time, as a share of the requests in flight to the same backend."""

    percent: Percent
    """Share of live requests that may be retries."""
    min_concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Retries always allowed, however few requests are live; 3 when absent."""


class Retry(RouteFeature):
    """Try a failed request again."""

    attempts: Annotated[int, Field(ge=0, le=10)]
    """Retries after the first try; 0 switches inherited retries off."""
    retry_on: Annotated[tuple[RetryOn, ...], Field(min_length=1, max_length=16)] | None = None
    """Failures that are tried again; `[connect-failure, refused-stream]` when absent: nothing reached the backend."""
    per_try: Duration | None = None
    """Bound on each try; `timeouts.backendRequest` when absent."""
    status_codes: (
        Annotated[tuple[Annotated[int, Field(ge=400, le=599)], ...], Field(min_length=1, max_length=16)] | None
    ) = None
    """Answers of a backend that are tried again besides `retryOn`."""
    backoff: Backoff | None = None
    """Pause between tries; 25 ms, at most 250 ms, when absent."""
    budget: Budget | None = None
    """Bound on concurrent retries; the circuit breaker's `maxRetries` alone when absent."""

    cross_rules = (unique("retryOn"),)

    def problems(self) -> Iterable[Problem]:
        """Proxies refuse pauses of no length, and a largest one below the first."""
        if self.backoff is None:
            return
        base = milliseconds(self.backoff.base)
        if base == 0:
            found = f"{self.backoff.base} is no pause; write at least 1ms"
            yield Problem(("backoff", "base"), Reason.UNSUPPORTED_VALUE, found)
        if self.backoff.max is not None and milliseconds(self.backoff.max) < max(base, 1):
            found = f"{self.backoff.max} is shorter than the first pause; write {self.backoff.base} or more"
            yield Problem(("backoff", "max"), Reason.UNSUPPORTED_VALUE, found)

    def apply(self, draft: RouteDraft) -> None:
        """Set the retry policy; other endpoints are preferred to those that failed already."""
        action = draft.action
        if action is None or self.attempts == 0:
            return
        policy = action.retry_policy
        conditions: list[str] = list(self.retry_on or NOTHING_ARRIVED)
        if self.status_codes:
            conditions.append("retriable-status-codes")
            policy.retriable_status_codes.extend(self.status_codes)
        policy.retry_on = ",".join(conditions)
        policy.num_retries.value = self.attempts
        if self.per_try is not None:
            policy.per_try_timeout.FromMilliseconds(milliseconds(self.per_try))
        if self.backoff is not None:
            base = milliseconds(self.backoff.base)
            policy.retry_back_off.base_interval.FromMilliseconds(base)
            longest = milliseconds(self.backoff.max) if self.backoff.max else 10 * base
            policy.retry_back_off.max_interval.FromMilliseconds(longest)
        prefer_other_endpoints(policy)
