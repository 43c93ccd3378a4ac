"""Which failures can be tried again, and where? What retries and hedging share."""

from __future__ import annotations

from typing import Literal

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate

RetryOn = Literal[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]

NOTHING_ARRIVED: tuple[RetryOn, ...] = ("connect-failure", "refused-stream")
"""Failures before the backend saw anything, so that every request may be tried again."""


def prefer_other_endpoints(policy: rc.RetryPolicy) -> None:
    """Have retries avoid the endpoints that were tried already."""
    predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
    predicate.typed_config.Pack(PreviousHostsPredicate())
    policy.host_selection_retry_max_attempts = 5
