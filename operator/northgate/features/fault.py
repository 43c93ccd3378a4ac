"""How does a rule misbehave on purpose?

`fault` answers a share of the requests with an error, delays a share of them, or slows their answers down, to see how
clients cope. Each fault strikes by chance on its own; a share of `"0"` leaves it in place without effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.type.v3 import percent_pb2
from pydantic import Field

from northgate.api.base import Duration, Model, Percent, Size, at_least_one, millionths, milliseconds, octets
from northgate.api.bodiless import HAS_BODY
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature
from northgate.api.filters import FAULT

_LONGEST_DELAY = 60_000
_KIBIBYTE = 1 << 10
_FASTEST = 1 << 30


class Abort(Model):
    """Requests that are answered with an error instead of being forwarded."""

    status: Annotated[int, Field(ge=200, le=599)]
    """Status of the answer."""
    percent: Percent | None = None
    """Share of the requests; all of them when absent."""

    cross_rules = (HAS_BODY,)


class Delay(Model):
    """Requests that are held back before they go on."""

    duration: Duration
    """How long; from `1ms` to `60s`."""
    percent: Percent | None = None
    """Share of the requests; all of them when absent."""


class Throttle(Model):
    """Answers whose bodies trickle."""

    per_second: Size
    """Bytes of the body in each second: whole KiB, from `1Ki` to `1Gi`."""
    percent: Percent | None = None
    """Share of the answers; all of them when absent."""


class Fault(RouteFeature):
    """Errors, delays and slow answers made on purpose."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (FAULT,)

    abort: Abort | None = None
    """Answer with an error; a request that is delayed too is answered after the delay."""
    delay: Delay | None = None
    """Hold requests back."""
    throttle: Throttle | None = None
    """Slow answers down."""

    cross_rules = (at_least_one("abort", "delay", "throttle"),)

    def problems(self) -> Iterable[Problem]:
        """Delays and rates must be within the proxy's bounds."""
        if self.delay is not None and not 1 <= milliseconds(self.delay.duration) <= _LONGEST_DELAY:
            found = f"{self.delay.duration} is not from 1ms to 60s: a longer delay would hold connections for nothing"
            yield Problem(("delay", "duration"), Reason.UNSUPPORTED_VALUE, found)
        if self.throttle is not None and not _rate(self.throttle.per_second):
            found = f"{self.throttle.per_second} is not a whole number of KiB from 1Ki to 1Gi"
            yield Problem(("throttle", "perSecond"), Reason.UNSUPPORTED_VALUE, found)

    def apply(self, draft: RouteDraft) -> None:
        """Write the faults. Each share can be changed at run time, under keys that name the rule."""
        key = f"chaos.{draft.rule_id}"
        fault = HTTPFault(
            abort_percent_runtime=f"{key}.abort",
            delay_percent_runtime=f"{key}.delay",
            response_rate_limit_percent_runtime=f"{key}.throttle",
        )
        if self.abort is not None:
            fault.abort.http_status = self.abort.status
            _share(fault.abort, self.abort.percent)
        if self.delay is not None:
            fault.delay.fixed_delay.FromMilliseconds(milliseconds(self.delay.duration))
            _share(fault.delay, self.delay.percent)
        if self.throttle is not None:
            fault.response_rate_limit.fixed_limit.limit_kbps = octets(self.throttle.per_second) // _KIBIBYTE
            _share(fault.response_rate_limit, self.throttle.percent)
        draft.enable(FAULT.name, fault)


def _rate(size: str) -> bool:
    return _KIBIBYTE <= octets(size) <= _FASTEST and octets(size) % _KIBIBYTE == 0


def _share(fault: Any, percent: Percent | None) -> None:
    fault.percentage.numerator = millionths("100" if percent is None else percent)
    fault.percentage.denominator = percent_pb2.FractionalPercent.MILLION
