"""What are a Route's rules in Envoy? Route messages, encoded once, ready to be joined into any virtual host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from envoy.config.route.v3 import route_components_pb2 as rc

from northgate.api.checks import match_problems
from northgate.api.feature import RouteDraft, RouteFeature, Share
from northgate.api.gateway import Defaults
from northgate.api.match import EVERYTHING, Match
from northgate.api.route import FEATURES, RouteSpec, Rule
from northgate.features.timeouts import Timeouts
from northgate.resolve.backends import ClusterKey, RouteBackends, RuleBackends, retry_budget
from northgate.translate import names, wire
from northgate.translate.balancing import hash_policy
from northgate.translate.matches import route_match, write_fraction
from northgate.translate.shares import EVERY_REQUEST, shares, unrelated
from northgate.world.store import Entry, Name

_ROUTES_FIELD = 3
_DEFAULT_TIMEOUTS = Timeouts(request="15s")


@dataclass(frozen=True, slots=True)
class RouteFrames:
    """A Route's encoded routes: `frames[rule][match]` is a piece of a virtual host.

    `needs_client` says which rules match on the client's address.
    """

    frames: tuple[tuple[bytes, ...], ...]
    needs_client: frozenset[int]
    clusters: frozenset[ClusterKey]
    names: frozenset[str]


def route_frames(name: Name, entry: Entry, backends: RouteBackends, defaults: Defaults) -> RouteFrames:
    """Translate all rules of a Route for gateways with these defaults."""
    spec: RouteSpec = entry.spec
    broken = _broken_rules(entry)
    backends = _with_inherited_budget(spec, backends, defaults)
    clusters = backends.clusters()
    taken = shares(spec)
    return RouteFrames(
        frames=tuple(
            (_broken_frames if number in broken else _rule_frames)(
                _Rule(
                    names.rule(name, number, rule.name),
                    rule,
                    backends.rules[number],
                    tuple(_effective_features(rule, defaults)),
                    taken[number],
                )
            )
            for number, rule in enumerate(spec.rules)
        ),
        needs_client=frozenset(
            number
            for number, rule in enumerate(spec.rules)
            if any(match.client_addresses is not None for match in rule.matches or ())
        ),
        clusters=clusters,
        names=frozenset(map(names.cluster, clusters)),
    )


def _with_inherited_budget(spec: RouteSpec, backends: RouteBackends, defaults: Defaults) -> RouteBackends:
    """Rules without retries of their own have the gateway's; their budget is one of the cluster."""
    if defaults.retry is None or defaults.retry.budget is None:
        return backends
    budget = retry_budget(defaults.retry.budget)
    rules = zip(spec.rules, backends.rules, strict=True)
    return replace(
        backends, rules=tuple(found.budgeted(budget) if rule.retry is None else found for rule, found in rules)
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    rule_id: str
    rule: Rule
    backends: RuleBackends
    features: tuple[RouteFeature, ...]
    shares: tuple[Share, ...]

    def matches(self) -> Iterator[tuple[Match, Share]]:
        """The matches with their shares of the requests."""
        return zip(self.rule.matches or (EVERYTHING,), self.shares, strict=True)


def _broken_rules(entry: Entry) -> frozenset[int]:
    """Rules that no proxy would accept, of an object that never had a good version."""
    problems = entry.serving.problems if entry.serving is not None else ()
    return frozenset(p.path[2] for p in problems if p.path[:2] == ("spec", "rules") and isinstance(p.path[2], int))


def _rule_frames(rule: _Rule) -> tuple[bytes, ...]:
    return tuple(_match_frames(rule, match, share) for match, share in rule.matches())


def _broken_frames(rule: _Rule) -> tuple[bytes, ...]:
    """Frames of a rule that cannot be served: requests it would take by its good matches are answered 500.

    A match that is itself at fault takes nothing.
    """
    return tuple(
        b"" if any(match_problems(match)) else _frame(_unavailable(rule, route_match(match, share), "invalid rule"))
        for match, share in rule.matches()
    )


def _match_frames(rule: _Rule, match: Match, share: Share) -> bytes:
    envoy_match = route_match(match, share)
    forwards = rule.rule.backend_refs is not None
    lost_until = _end_of_lost(rule.backends, share)
    if forwards and not rule.backends.targets:
        draft = RouteDraft(_unavailable(rule, envoy_match, "missing backend"), rule.rule_id)
    else:
        draft = _draft(rule, match, envoy_match, Share(lost_until, share.high))
    frames = b"".join(_frame(route) for block in rule.features for route in block.ahead(draft))
    if forwards and rule.backends.targets and rule.backends.lost:
        frames += _frame(_lost_share(rule, envoy_match, lost_until))
    return frames + _frame(draft.route)


def _end_of_lost(backends: RuleBackends, share: Share) -> int:
    """The share of references that do not resolve comes first; the others keep theirs."""
    total = backends.lost + sum(target.weight for target in backends.targets)
    return share.part(backends.lost, total) if backends.lost else share.low


def _lost_share(rule: _Rule, envoy_match: rc.RouteMatch, lost_until: int) -> rc.Route:
    lost = rc.RouteMatch()
    lost.CopyFrom(envoy_match)
    write_fraction(lost.runtime_fraction.default_value, lost_until)
    return _unavailable(rule, lost, "missing backend")


def _unavailable(rule: _Rule, envoy_match: rc.RouteMatch, why: str) -> rc.Route:
    route = rc.Route(name=rule.rule_id, match=envoy_match)
    route.direct_response.status = 500
    route.direct_response.body.inline_string = f"northgate: {why}\n"
    return route


def _draft(rule: _Rule, match: Match, envoy_match: rc.RouteMatch, share: Share) -> RouteDraft:
    prefix = match.path.value if match.path is not None and match.path.type in (None, "PathPrefix") else "/"
    clusters = {path: names.cluster(key) for path, key in (rule.backends.features or {}).items()}
    draft = RouteDraft(rc.Route(name=rule.rule_id, match=envoy_match), rule.rule_id, prefix, clusters, share)
    if rule.rule.backend_refs is not None:
        _forward(draft, rule.backends)
    for block in rule.features:
        block.apply(draft)
    return draft


def _forward(draft: RouteDraft, backends: RuleBackends) -> None:
    action = draft.route.route
    if backends.consistent_hash is not None:
        action.hash_policy.append(hash_policy(backends.consistent_hash))
    if len(backends.targets) == 1:
        action.cluster = names.cluster(backends.targets[0].cluster)
        return
    weights = tuple(target.weight for target in backends.targets)
    if draft.share != EVERY_REQUEST:
        weights = unrelated(weights)
    for target, weight in zip(backends.targets, weights, strict=True):
        action.weighted_clusters.clusters.add(name=names.cluster(target.cluster)).weight.value = weight


def _effective_features(rule: Rule, defaults: Defaults) -> Iterator[RouteFeature]:
    """The rule's blocks, with the gateway's defaults where a block is absent, in the order of the fields."""
    inherited = {"timeouts": defaults.timeouts or _DEFAULT_TIMEOUTS, "retry": defaults.retry}
    for field in FEATURES:
        block = getattr(rule, field)
        if block is None:
            block = inherited.get(field)
        if block is not None:
            yield block


def _frame(route: rc.Route) -> bytes:
    return wire.field(_ROUTES_FIELD, wire.encode(route))
