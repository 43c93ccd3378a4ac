"""Is an object in force? What is known of it and what proxies confirmed, as conditions people and tools read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from northgate.api.conditions import Condition, Reason, Status, Type

PROGRAM_WITHIN = 60.0
"""Seconds proxies have to confirm a change before it counts as late."""

_CURABLE = 60.0
_WAITING = 300.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy of a gateway.

    `synced` is the newest revision of which it confirmed everything it asked for; `refusal` is what it said of the
    newest thing it refused, scrubbed, and empty when it refuses nothing now.
    """

    node: str
    connected: bool
    synced: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The proxies of one gateway that count."""

    proxies: tuple[Proxy, ...] = ()

    @property
    def connected(self) -> tuple[Proxy, ...]:
        """The proxies that are connected."""
        return tuple(proxy for proxy in self.proxies if proxy.connected)


def programmed(fleet: Fleet, revision: int, waited: float) -> Condition:
    """`Programmed` of what is in force from `revision` on, after `waited` seconds. Only confirmations make it true."""
    proxies = fleet.connected
    if not proxies:
        message = "no proxy of this gateway is connected; start one, or look at its log"
        return Condition(Type.PROGRAMMED, Status.FALSE, Reason.NO_PROXIES_CONNECTED, message)
    late = [proxy for proxy in proxies if proxy.synced < revision]
    count = f"{len(proxies) - len(late)} of {len(proxies)} proxies"
    if not late:
        return Condition(Type.PROGRAMMED, Status.TRUE, Reason.PROGRAMMED, f"confirmed by {count}")
    refused = [proxy for proxy in late if proxy.refusal]
    if refused:
        message = f"{refused[0].node} refuses it: {refused[0].refusal}"
        return Condition(Type.PROGRAMMED, Status.FALSE, Reason.REJECTED_BY_PROXY, message)
    if waited > PROGRAM_WITHIN:
        message = f"confirmed by {count} only after {int(waited)} s"
        return Condition(Type.PROGRAMMED, Status.FALSE, Reason.PARTIALLY_PROGRAMMED, message)
    return Condition(Type.PROGRAMMED, Status.UNKNOWN, Reason.PENDING, f"confirmed by {count} so far")


def worst(conditions: Sequence[Condition]) -> Condition:
    """Of one type's conditions over several parents, the one that decides: False before Unknown before True."""
    order = {Status.FALSE: 0, Status.UNKNOWN: 1, Status.TRUE: 2}
    return min(conditions, key=lambda condition: order[condition.status])


def summary(conditions: Iterable[Condition], unready_for: float) -> tuple[Condition, ...]:
    """`Ready` and, while true, one of `Reconciling` and `Stalled`, from everything known of an object.

    Mistakes another object can cure are given `unready_for` seconds before they count as final: objects that belong
    together arrive in any order.
    """
    trouble = min((t for t in map(_trouble, conditions) if t is not None), key=lambda t: t.order, default=None)
    if trouble is None:
        return (Condition(Type.READY, Status.TRUE, Reason.READY),)
    cause = trouble.cause
    status = Status.UNKNOWN if cause.status is Status.UNKNOWN else Status.FALSE
    ready = Condition(Type.READY, status, cause.reason, cause.message)
    if unready_for < trouble.patience:
        return ready, Condition(Type.RECONCILING, Status.TRUE, trouble.waiting_for, cause.message)
    return ready, Condition(Type.STALLED, Status.TRUE, cause.reason, cause.message)


@dataclass(frozen=True, slots=True)
class _Trouble:
    order: int
    cause: Condition
    patience: float
    waiting_for: Reason = Reason.WAITING_FOR_REFERENCE


def _trouble(condition: Condition) -> _Trouble | None:
    if condition.type in (Type.PARTIALLY_INVALID, Type.CONFLICTED):
        return _Trouble(2, condition, 0.0) if condition.status is Status.TRUE else None
    if condition.reason is Reason.LISTENERS_NOT_VALID:
        # The gateway as such is accepted; a listener that is not needs an edit all the same.
        return _Trouble(2, condition, 0.0)
    if condition.status is Status.TRUE:
        return None
    if condition.type is Type.ACCEPTED:
        final = condition.reason in (Reason.INVALID, Reason.UNSUPPORTED_VALUE)
        return _Trouble(0, condition, 0.0 if final else _CURABLE)
    if condition.type is Type.RESOLVED_REFS:
        return _Trouble(3, condition, _CURABLE)
    return _not_programmed(condition) if condition.type is Type.PROGRAMMED else None


def _not_programmed(condition: Condition) -> _Trouble:
    if condition.reason is Reason.REJECTED_BY_PROXY:
        return _Trouble(1, condition, 0.0)
    if condition.status is Status.FALSE:
        return _Trouble(4, condition, _WAITING, Reason.WAITING_FOR_ACK)
    return _Trouble(5, condition, float("inf"), Reason.WAITING_FOR_ACK)
