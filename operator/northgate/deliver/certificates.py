"""Are a gateway's certificates valid now, and for long enough? One condition, and when to ask again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from northgate.api.certificates import Lifetime
from northgate.api.conditions import Condition, Reason, Status, Type
from northgate.world.store import Name

RENEW_WITHIN = 14 * 86_400.0
"""Seconds before its end from which a certificate counts as expiring."""

_NAMED = 3


def certificates_condition(lifetimes: Iterable[tuple[Name, Lifetime]], now: float) -> Condition | None:
    """`Degraded` while clients refuse a certificate, or soon will; None when all are well.

    Expired ones are named before those whose time has not come, and these before those that expire soon.
    """
    found: dict[Reason, list[str]] = {}
    for secret, lifetime in sorted(lifetimes):
        told = _told("/".join(secret), lifetime, now)
        if told is not None:
            found.setdefault(told[0], []).append(told[1])
    for reason in (Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRING):
        if reason in found:
            return Condition(Type.DEGRADED, Status.TRUE, reason, _joined(found[reason]))
    return None


def next_change(lifetimes: Iterable[tuple[Name, Lifetime]], now: float) -> float:
    """The time after `now` at which the condition may be another one; infinite when never."""
    moments = (moment for _, one in lifetimes for moment in (one.begins, one.ends - RENEW_WITHIN, one.ends))
    return min((moment for moment in moments if moment > now), default=math.inf)


def _told(secret: str, lifetime: Lifetime, now: float) -> tuple[Reason, str] | None:
    if now >= lifetime.ends:
        return Reason.CERTIFICATE_EXPIRED, f"the certificate in Secret {secret} expired at {_date(lifetime.ends)}"
    if now < lifetime.begins:
        begins = f"the certificate in Secret {secret} is valid only from {_date(lifetime.begins)}"
        return Reason.CERTIFICATE_NOT_YET_VALID, begins
    if now >= lifetime.ends - RENEW_WITHIN:
        return Reason.CERTIFICATE_EXPIRING, f"the certificate in Secret {secret} expires at {_date(lifetime.ends)}"
    return None


def _joined(told: list[str]) -> str:
    more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f"{'; '.join(told[:_NAMED])}{more}; put a valid pair into it"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
