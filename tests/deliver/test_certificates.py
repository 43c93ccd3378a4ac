"""Certificates over time: what is said of them, and that it is said when its moment comes, not at the next change."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.core.objects import gateway
from tests.harness.certificates import TlsPairs

from northgate.api.certificates import Lifetime, lifetime
from northgate.api.conditions import Reason
from northgate.deliver.certificates import RENEW_WITHIN, certificates_condition, next_change
from northgate.deliver.statuses import Statuses
from northgate.deliver.verdict import Fleet, Proxy
from northgate.ops.scenery import Pair, secret
from northgate.snapshot.edge import Edge
from northgate.world.key import ObjectKey

EDGE = ("default", "edge")
DAY = 86_400
ONE = ("edge", "one")
HTTPS = {"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "pair"}]}}


@pytest.mark.parametrize(
    ("begins", "ends", "reason", "following"),
    [
        pytest.param(-10, 90, None, 76, id="long"),
        pytest.param(-10, 14, Reason.CERTIFICATE_EXPIRING, 14, id="two weeks"),
        pytest.param(-10, 1, Reason.CERTIFICATE_EXPIRING, 1, id="a day"),
        pytest.param(-10, 0, Reason.CERTIFICATE_EXPIRED, math.inf, id="over"),
        pytest.param(1, 90, Reason.CERTIFICATE_NOT_YET_VALID, 1, id="tomorrow"),
    ],
)
def test_one_certificate(begins: int, ends: int, reason: Reason | None, following: float) -> None:
    now = 1_700_000_000
    held = [(ONE, Lifetime(now + begins * DAY, now + ends * DAY))]
    condition = certificates_condition(held, now)
    assert (condition.reason if condition else None) == reason
    assert condition is None or "Secret edge/one" in condition.message
    assert next_change(held, now) == (now + following * DAY)


def test_the_worst_is_named_first_and_many_are_counted() -> None:
    held = [(("edge", f"s{n}"), Lifetime(0, 100)) for n in range(5)] + [(ONE, Lifetime(0, 300))]
    condition = certificates_condition(held, 200)
    assert condition is not None
    assert condition.reason is Reason.CERTIFICATE_EXPIRED
    assert condition.message.endswith("expired at 1970-01-01T00:01:40Z; and 2 more; put a valid pair into it")
    assert certificates_condition([], 0) is None
    assert next_change([], 0) == math.inf


def _degraded(statuses: Statuses) -> str | None:
    found: Any = statuses.documents()[ObjectKey("northgate.dev", "EdgeGateway", *EDGE)]
    return next((c["reason"] for c in found["conditions"] if c["type"] == "Degraded"), None)


def test_the_status_follows_the_clock_and_the_secret(tls_pairs: TlsPairs) -> None:
    old, new = (tls_pairs.issue("a.test", days=(-1, days)) for days in (30, 60))
    edge = Edge()
    edge.apply([gateway(listeners=[HTTPS]), secret("default", "pair", Pair(old.certificate, old.key, ""))])
    ends = lifetime(edge.world.secrets["default", "pair"].spec).ends  # type: ignore[union-attr] # the pair is good
    statuses = Statuses(edge.compiler)
    fleets = {EDGE: Fleet((Proxy("p", connected=True, synced=1),))}

    def at(now: float) -> str | None:
        statuses.refresh(fleets, {EDGE: 1}, now)
        return _degraded(statuses)

    assert at(ends - RENEW_WITHIN - 1) is None
    assert at(ends - RENEW_WITHIN) == "CertificateExpiring"
    assert at(ends) == "CertificateExpired"
    edge.apply([secret("default", "pair", Pair(new.certificate, new.key, ""))])
    assert at(ends + 1) is None
    # A rotation changes nothing the gateway itself said: nobody waits for it to be in force again.
    found: Any = statuses.documents()[ObjectKey("northgate.dev", "EdgeGateway", *EDGE)]
    assert {c["type"]: c["status"] for c in found["conditions"]}["Programmed"] == "True"
