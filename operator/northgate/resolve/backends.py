"""Where does each rule send its requests? References to Services and Upstreams become cluster keys or problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from northgate.api.balancing import ConsistentHash
from northgate.api.conditions import Path, Problem, Reason
from northgate.api.parse import GROUP
from northgate.api.refs import BackendRef
from northgate.api.route import RouteSpec, Rule
from northgate.engine import Collection
from northgate.features.retry import Budget
from northgate.resolve.absence import absent
from northgate.resolve.grants import Reference, permitted
from northgate.resolve.services import service_problem
from northgate.resolve.upstreams import ResolvedUpstream
from northgate.world.store import Name, World

RetryBudget = tuple[str, int] | tuple[()]
"""The share of retries in percent and the retries always allowed, or empty: keys with it must be comparable."""


class ClusterKey(NamedTuple):
    """What makes two references share a cluster: the backend, its port, and a policy that lives in the cluster.

    `port` is 0 for an Upstream. `connections` tells a backend of connections from the same one of requests.
    """

    kind: str
    namespace: str
    name: str
    port: int
    retry_budget: RetryBudget = ()
    connections: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster with its weight."""

    cluster: ClusterKey
    weight: int


@dataclass(frozen=True, slots=True)
class RuleBackends:
    """Where one rule's requests go.

    `lost` is the weight of references that do not resolve: their share of the requests is answered 500.
    `features` are the clusters of feature blocks, by the path of the reference inside the rule. `consistent_hash` is
    the part of a request that chooses the endpoint, where an Upstream among the targets asks for it.
    """

    targets: tuple[Target, ...] = ()
    lost: int = 0
    features: Mapping[Path, ClusterKey] | None = None
    consistent_hash: ConsistentHash | None = None

    def budgeted(self, budget: RetryBudget) -> RuleBackends:
        """The same backends in clusters with this retry budget."""
        targets = (replace(one, cluster=one.cluster._replace(retry_budget=budget)) for one in self.targets)
        return replace(self, targets=tuple(targets))


@dataclass(frozen=True, slots=True)
class RouteBackends:
    """Where all rules of a Route send their requests, and which references do not resolve."""

    rules: tuple[RuleBackends, ...]
    problems: tuple[Problem, ...]

    def clusters(self) -> frozenset[ClusterKey]:
        """Every cluster the Route needs."""
        targets = {target.cluster for rule in self.rules for target in rule.targets}
        return frozenset(targets.union(*((rule.features or {}).values() for rule in self.rules)))


def resolve_backends(world: World, upstreams: Collection[Name, ResolvedUpstream], route: Name) -> RouteBackends | None:
    """The backends of a Route; None when no version of it can be read. Reads no endpoints."""
    spec: RouteSpec | None = world.routes[route].spec
    if spec is None:
        return None
    problems: list[Problem] = []
    rules = tuple(
        _resolve_rule(_Resolver(world, upstreams, route[0], ("spec", "rules", index), problems), rule)
        for index, rule in enumerate(spec.rules)
    )
    return RouteBackends(rules, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Resolver:
    world: World
    upstreams: Collection[Name, ResolvedUpstream]
    namespace: str
    path: Path
    problems: list[Problem]

    def cluster(self, ref: BackendRef, path: Path, budget: RetryBudget = ()) -> ClusterKey | None:
        """The cluster of a reference, or None and a problem."""
        kind = ref.kind or "Service"
        key = ClusterKey(kind, ref.namespace or self.namespace, ref.name, ref.port or 0, budget)
        problem = self._problem(key)
        if problem is None:
            return key
        self.problems.append(problem.below(*self.path, *path))
        return None

    def consistent_hash(self, key: ClusterKey) -> ConsistentHash | None:
        """The part of a request that chooses the endpoint of a cluster."""
        upstream = self.upstreams.get((key.namespace, key.name)) if key.kind == "Upstream" else None
        balancer = upstream.spec.load_balancer if upstream is not None else None
        return balancer.consistent_hash if balancer is not None else None

    def _problem(self, key: ClusterKey) -> Problem | None:
        upstream = key.kind == "Upstream"
        group = GROUP if upstream else ""
        reference = Reference("Route", self.namespace, group, key.kind, key.namespace, key.name)
        if not permitted(self.world, reference):
            return Problem((), Reason.REF_NOT_PERMITTED, reference.refused())
        name, own = (key.namespace, key.name), key.namespace == self.namespace
        if upstream:
            return self._upstream_problem(name, own=own)
        return service_problem(self.world, name, key.port, own=own)

    def _upstream_problem(self, name: Name, *, own: bool) -> Problem | None:
        entry = self.world.upstreams.get(name)
        if entry is None:
            beside = self.world.upstreams_in if own else None
            return Problem((), Reason.BACKEND_NOT_FOUND, absent("Upstream", name, beside))
        if entry.serving is None or not entry.serving.good:
            fault = f"Upstream {'/'.join(name)} is invalid: {entry.latest.problems[0]}"
            return Problem((), Reason.BACKEND_NOT_FOUND, fault)
        resolved = self.upstreams.get(name)
        if resolved is None or resolved.unusable is None:
            return None
        return Problem((), resolved.unusable.reason, f"Upstream {'/'.join(name)} cannot be used: {resolved.unusable}")


def _resolve_rule(resolver: _Resolver, rule: Rule) -> RuleBackends:
    budget = retry_budget(rule.retry.budget if rule.retry is not None else None)
    targets: list[Target] = []
    asked: list[tuple[int, ConsistentHash]] = []
    lost = 0
    for index, ref in enumerate(rule.backend_refs or ()):
        weight = 1 if ref.weight is None else ref.weight
        if weight == 0:
            continue
        cluster = resolver.cluster(ref, ("backendRefs", index), budget)
        if cluster is None:
            lost += weight
            continue
        targets.append(Target(cluster, weight))
        consistent_hash = resolver.consistent_hash(cluster)
        if consistent_hash is not None:
            asked.append((index, consistent_hash))
    features = dict(_feature_clusters(resolver, rule)) or None
    return RuleBackends(tuple(targets), lost, features, _consistent_hash(resolver, asked, alone=len(targets) == 1))


def _consistent_hash(
    resolver: _Resolver, asked: list[tuple[int, ConsistentHash]], *, alone: bool
) -> ConsistentHash | None:
    """The first one asked for: a proxy computes one key for a request, before it chooses among the targets."""
    if not asked:
        return None
    first, chosen = asked[0]
    for index, found in asked:
        if found != chosen:
            resolver.problems.append(_other_hash(index, first).below(*resolver.path))
    if not alone and chosen.cookie is not None and chosen.cookie.ttl is not None:
        resolver.problems.append(_cookie_not_issued(first).below(*resolver.path))
    return chosen


def _other_hash(index: int, first: int) -> Problem:
    found = (
        f"this Upstream has another consistentHash than backendRefs[{first}], which counts for the whole rule; "
        "give both the same one"
    )
    return Problem(("backendRefs", index), Reason.UNSUPPORTED_VALUE, found)


def _cookie_not_issued(index: int) -> Problem:
    found = (
        "the cookie of this Upstream's consistentHash is issued only where it is the rule's single backend; "
        "clients without the cookie are spread at random"
    )
    return Problem(("backendRefs", index), Reason.UNSUPPORTED_VALUE, found)


def _feature_clusters(resolver: _Resolver, rule: Rule) -> Iterator[tuple[Path, ClusterKey]]:
    for field, block in rule.features():
        for path, ref in block.backends():
            cluster = resolver.cluster(ref, (field, *path))
            if cluster is not None:
                yield (field, *path), cluster


def retry_budget(budget: Budget | None) -> RetryBudget:
    """A budget as a cluster key has it."""
    return () if budget is None else (budget.percent, budget.min_concurrency or 3)
