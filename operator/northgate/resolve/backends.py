"""Where does each rule send its requests? References to Services and Upstreams become cluster keys or problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from northgate.api.conditions import Path, Problem, Reason
from northgate.api.parse import GROUP
from northgate.api.refs import BackendRef
from northgate.api.route import RouteSpec, Rule
from northgate.features.retry import Budget
from northgate.resolve.grants import Reference, permitted
from northgate.world.store import Name, World


class ClusterKey(NamedTuple):
    """What makes two references share a cluster: the backend, its port, and a policy that lives in the cluster.

    `port` is 0 for an Upstream. `retry_budget` is the share of retries in percent and the retries always allowed.
    """

    kind: str
    namespace: str
    name: str
    port: int
    retry_budget: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster with its weight."""

    cluster: ClusterKey
    weight: int


@dataclass(frozen=True, slots=True)
class RuleBackends:
    """Where one rule's requests go.

    `lost` is the weight of references that do not resolve: their share of the requests is answered 500.
    `features` are the clusters of feature blocks, by the path of the reference inside the rule.
    """

    targets: tuple[Target, ...] = ()
    lost: int = 0
    features: Mapping[Path, ClusterKey] | None = None


@dataclass(frozen=True, slots=True)
class RouteBackends:
    """Where all rules of a Route send their requests, and which references do not resolve."""

    rules: tuple[RuleBackends, ...]
    problems: tuple[Problem, ...]

    def clusters(self) -> frozenset[ClusterKey]:
        """Every cluster the Route needs."""
        targets = {target.cluster for rule in self.rules for target in rule.targets}
        return frozenset(targets.union(*((rule.features or {}).values() for rule in self.rules)))


def resolve_backends(world: World, route: Name) -> RouteBackends | None:
    """The backends of a Route; None when no version of it can be read. Reads no endpoints."""
    spec: RouteSpec | None = world.routes[route].spec
    if spec is None:
        return None
    problems: list[Problem] = []
    rules = tuple(
        _resolve_rule(_Resolver(world, route[0], ("spec", "rules", index), problems), rule)
        for index, rule in enumerate(spec.rules)
    )
    return RouteBackends(rules, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Resolver:
    world: World
    namespace: str
    path: Path
    problems: list[Problem]

    def cluster(self, ref: BackendRef, path: Path, budget: tuple[str, int] | None) -> ClusterKey | None:
        """The cluster of a reference, or None and a problem."""
        kind = ref.kind or "Service"
        key = ClusterKey(kind, ref.namespace or self.namespace, ref.name, ref.port or 0, budget)
        problem = _problem(self.world, self.namespace, key)
        if problem is None:
            return key
        self.problems.append(problem.below(*self.path, *path))
        return None


def _resolve_rule(resolver: _Resolver, rule: Rule) -> RuleBackends:
    budget = _budget(rule.retry.budget if rule.retry is not None else None)
    targets: list[Target] = []
    lost = 0
    for index, ref in enumerate(rule.backend_refs or ()):
        weight = 1 if ref.weight is None else ref.weight
        if weight == 0:
            continue
        cluster = resolver.cluster(ref, ("backendRefs", index), budget)
        if cluster is None:
            lost += weight
        else:
            targets.append(Target(cluster, weight))
    return RuleBackends(tuple(targets), lost, dict(_feature_clusters(resolver, rule)) or None)


def _feature_clusters(resolver: _Resolver, rule: Rule) -> Iterator[tuple[Path, ClusterKey]]:
    for field, block in rule.features():
        for path, ref in block.backends():
            cluster = resolver.cluster(ref, (field, *path), None)
            if cluster is not None:
                yield (field, *path), cluster


def _budget(budget: Budget | None) -> tuple[str, int] | None:
    return None if budget is None else (budget.percent, budget.min_concurrency or 3)


def _problem(world: World, namespace: str, key: ClusterKey) -> Problem | None:
    upstream = key.kind == "Upstream"
    reference = Reference("Route", namespace, GROUP if upstream else "", key.kind, key.namespace, key.name)
    if not permitted(world, reference):
        return Problem((), Reason.REF_NOT_PERMITTED, reference.refused())
    return _upstream_problem(world, key) if upstream else _service_problem(world, key)


def _upstream_problem(world: World, key: ClusterKey) -> Problem | None:
    entry = world.upstreams.get((key.namespace, key.name))
    if entry is None:
        return Problem((), Reason.BACKEND_NOT_FOUND, f"Upstream {key.namespace}/{key.name} does not exist")
    if entry.serving is None or not entry.serving.good:
        fault = f"Upstream {key.namespace}/{key.name} is invalid: {entry.latest.problems[0]}"
        return Problem((), Reason.BACKEND_NOT_FOUND, fault)
    return None


def _service_problem(world: World, key: ClusterKey) -> Problem | None:
    entry = world.services.get((key.namespace, key.name))
    if entry is None or entry.spec is None:
        return Problem((), Reason.BACKEND_NOT_FOUND, f"Service {key.namespace}/{key.name} does not exist")
    if entry.spec.port(key.port) is None:
        ports = [str(p.port) for p in entry.spec.ports]
        near = get_close_matches(str(key.port), ports, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        found = (
            f"Service {key.namespace}/{key.name} has no TCP port {key.port}; it has {', '.join(ports) or 'none'}{hint}"
        )
        return Problem((), Reason.PORT_NOT_FOUND, found)
    return None
