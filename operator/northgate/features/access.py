"""Which clients may use a rule?

`access` lets client addresses in or keeps them out. Everybody else than the `allow` list is answered `403`; an address
that `deny` lists is answered `403` even where `allow` lists it too. The address is the one of the client's connection,
or the one that the last `hardening.trustedHops` proxies in front of the edge report; other `x-forwarded-for` entries,
which a client can invent, do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as filter_pb2
from pydantic import Field

from northgate.api.base import Cidr, at_least_one
from northgate.api.conditions import Problem
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature
from northgate.api.networks import cidr_range, network_problem

Networks = Annotated[tuple[Cidr, ...], Field(min_length=1, max_length=256)]

_RBAC = HttpFilter("envoy.filters.http.rbac", filter_pb2.RBAC)


class Access(RouteFeature):
    """Clients that may use the rule, by address."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (_RBAC,)

    allow: Networks | None = None
    """Addresses and networks that are let in; everybody when absent."""
    deny: Networks | None = None
    """Addresses and networks that are kept out, whatever `allow` says; nobody when absent."""

    cross_rules = (at_least_one("allow", "deny"),)

    def problems(self) -> Iterable[Problem]:
        """Every entry must be a network."""
        for field, networks in (("allow", self.allow), ("deny", self.deny)):
            for index, network in enumerate(networks or ()):
                yield from network_problem(network, (field, index))

    def apply(self, draft: RouteDraft) -> None:
        """Let in who is allowed and not denied: one policy, so that nothing can slip between two."""
        policy = rbac_pb2.Policy(permissions=[rbac_pb2.Permission(any=True)])
        principal = policy.principals.add().and_ids
        principal.ids.append(_any_of(self.allow) if self.allow else rbac_pb2.Principal(any=True))
        if self.deny:
            principal.ids.append(rbac_pb2.Principal(not_id=_any_of(self.deny)))
        per_route = filter_pb2.RBACPerRoute()
        per_route.rbac.rules.action = rbac_pb2.RBAC.ALLOW
        per_route.rbac.rules.policies["access"].CopyFrom(policy)
        draft.enable(_RBAC.name, per_route)


def _any_of(networks: Iterable[str]) -> rbac_pb2.Principal:
    found = rbac_pb2.Principal()
    found.or_ids.ids.extend(rbac_pb2.Principal(remote_ip=cidr_range(network)) for network in networks)
    return found
