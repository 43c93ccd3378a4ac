"""How many requests may come in a time?

`rateLimit` answers `429` to what is too much. `local` counts in each proxy on its own, without asking anybody: requests
take tokens from a bucket that is refilled steadily. With `perClient` every client address has a bucket of its own, so a
noisy client does not use up what is there for the others. Buckets are full again after any change of the routes that
the proxy serves on the same port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.type.v3.token_bucket_pb2 import TokenBucket
from pydantic import Field

from northgate.api.base import Duration, Model, at_least_one, milliseconds
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature

_LOCAL = HttpFilter("envoy.filters.http.local_ratelimit", lambda: LocalRateLimit(stat_prefix="local_rate_limit"))
_SHORTEST = 50
_LONGEST = 24 * 3_600_000
_ALL: Final = (1 << 32) - 1
_RETRY_AFTER = b"\x98\x01\x01"
"""`enable_retry_after_header: true`, a field (number 19) the message library does not know yet."""

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class PerClient(Model):
    """A bucket for each client: for each IPv4 address, and for each /64 of IPv6, which is what one client owns."""

    max_clients: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Clients each proxy remembers at a time, those it saw last; 10000 when absent."""


class LocalLimit(Model):
    """A limit that each proxy keeps by itself: `requests` in each `per`, and at most `burst` at once."""

    requests: Count
    """Requests in each `per`."""
    per: Duration
    """The time for `requests`; from `50ms` to `24h`."""
    burst: Count | None = None
    """Requests that may come at once after a pause; `requests` when absent."""
    per_client: PerClient | None = None
    """Count each client address by itself; all requests of the rule together when absent."""
    headers: bool | None = None
    """True adds `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset` to every answer."""

    def problems(self) -> Iterable[Problem]:
        """The time must be one the proxy can count in."""
        if not _SHORTEST <= milliseconds(self.per) <= _LONGEST:
            yield Problem(("per",), Reason.UNSUPPORTED_VALUE, f"{self.per} is not from 50ms to 24h; scale requests")

    def write(self) -> Any:
        """This limit as a route's own filter configuration."""
        config = LocalRateLimit(stat_prefix="route", rate_limited_as_resource_exhausted=True)
        for switch in (config.filter_enabled, config.filter_enforced):
            switch.default_value.numerator = 100
        if self.headers:
            config.enable_x_ratelimit_headers = ratelimit_pb2.DRAFT_VERSION_03
        if self.per_client is None:
            config.token_bucket.CopyFrom(self._bucket())
        else:
            self._write_clients(config, self.per_client)
        config.MergeFromString(_RETRY_AFTER)
        return config

    def _write_clients(self, config: Any, clients: PerClient) -> None:
        """A bucket for each value of the client's address. The common bucket, which must be there, is not used."""
        config.rate_limits.append(_by_address())
        descriptor = config.descriptors.add(token_bucket=self._bucket())
        descriptor.entries.add(key="masked_remote_address")
        config.max_dynamic_descriptors.value = clients.max_clients or 10_000
        config.always_consume_default_token_bucket.value = False
        config.token_bucket.CopyFrom(_bucket(_ALL, _ALL, milliseconds(self.per)))

    def _bucket(self) -> TokenBucket:
        return _bucket(self.burst or self.requests, self.requests, milliseconds(self.per))


class RateLimit(RouteFeature):
    """Limits on the number of requests."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (_LOCAL,)

    local: LocalLimit | None = None
    """A limit each proxy keeps by itself: with n proxies up to n times as many requests pass."""

    cross_rules = (at_least_one("local"),)

    def problems(self) -> Iterable[Problem]:
        """The limits must be ones the proxy can count."""
        if self.local is not None:
            yield from (problem.below("local") for problem in self.local.problems())

    def apply(self, draft: RouteDraft) -> None:
        """Switch the limits on."""
        if self.local is not None:
            draft.enable(_LOCAL.name, self.local.write())


def _bucket(most: int, refill: int, interval: int) -> TokenBucket:
    bucket = TokenBucket(max_tokens=most)
    bucket.tokens_per_fill.value = refill
    bucket.fill_interval.FromMilliseconds(interval)
    return bucket


def _by_address() -> rc.RateLimit:
    limit = rc.RateLimit()
    address = limit.actions.add().masked_remote_address
    address.v4_prefix_mask_len.value = 32
    address.v6_prefix_mask_len.value = 64
    return limit
