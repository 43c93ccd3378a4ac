"""How does a second backend see the same requests?

`mirror` sends a copy of a share of the requests to another backend. The client gets the answer of the rule's own
backend; the copy's answer is thrown away, and neither its failure nor its slowness is felt. The copy has the host, path
and headers of the forwarded request. When the reference does not resolve, requests are forwarded without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy.type.v3.percent_pb2 import FractionalPercent

from northgate.api.base import Percent, millionths
from northgate.api.conditions import Path
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.refs import BackendRef

_BACKEND: Final = ("backendRef",)


class Mirror(RouteFeature):
    """Send copies of requests to another backend."""

    backend_ref: BackendRef
    """Who gets the copies."""
    percent: Percent | None = None
    """Share of the requests that is copied, chosen at random for each; every request when absent, `"0"` none."""

    def backends(self) -> Iterable[tuple[Path, BackendRef]]:
        """The backend of the copies."""
        yield _BACKEND, self.backend_ref

    def apply(self, draft: RouteDraft) -> None:
        """Add the mirror policy; runtime key `mirror.<rule id>` holds its share in whole percents, where it is set."""
        cluster = draft.clusters.get(("mirror", *_BACKEND))
        if draft.action is None or cluster is None:
            return
        policy = draft.action.request_mirror_policies.add(cluster=cluster, disable_shadow_host_suffix_append=True)
        policy.runtime_fraction.runtime_key = f"mirror.{draft.rule_id}"
        policy.runtime_fraction.default_value.CopyFrom(
            FractionalPercent(
                numerator=draft.share.part(millionths(self.percent or "100")), denominator=FractionalPercent.MILLION
            )
        )
