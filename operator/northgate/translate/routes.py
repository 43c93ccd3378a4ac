"""What are a Route's rules in Envoy? Route messages, encoded once, ready to be joined into any virtual host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as rc

from northgate.api.checks import match_problems
from northgate.api.feature import RouteDraft, RouteFeature
from northgate.api.gateway import Defaults
from northgate.api.match import EVERYTHING, Match
from northgate.api.route import FEATURES, RouteSpec, Rule
from northgate.features.timeouts import Timeouts
from northgate.resolve.backends import ClusterKey, RouteBackends, RuleBackends
from northgate.translate import names, wire
from northgate.translate.balancing import hash_policy
from northgate.translate.matches import route_match, write_fraction
from northgate.world.store import Entry, Name

_ROUTES_FIELD = 3
_MILLION = 1_000_000
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
    clusters = backends.clusters()
    return RouteFrames(
        frames=tuple(
            (_broken_frames if number in broken else _rule_frames)(
                _Rule(names.rule(name, number, rule.name), rule, backends.rules[number], defaults)
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


@dataclass(frozen=True, slots=True)
class _Rule:
    rule_id: str
    rule: Rule
    backends: RuleBackends
    defaults: Defaults


def _broken_rules(entry: Entry) -> frozenset[int]:
    """Rules that no proxy would accept, of an object that never had a good version."""
    problems = entry.serving.problems if entry.serving is not None else ()
    return frozenset(p.path[2] for p in problems if p.path[:2] == ("spec", "rules") and isinstance(p.path[2], int))


def _rule_frames(rule: _Rule) -> tuple[bytes, ...]:
    return tuple(_match_frames(rule, match) for match in rule.rule.matches or (EVERYTHING,))


def _broken_frames(rule: _Rule) -> tuple[bytes, ...]:
    """Frames of a rule that cannot be served: requests it would take by its good matches are answered 500.

    A match that is itself at fault takes nothing.
    """
    return tuple(
        b"" if any(match_problems(match)) else _frame(_unavailable(route_match(match), rule.rule_id, "invalid rule"))
        for match in rule.rule.matches or (EVERYTHING,)
    )


def _match_frames(rule: _Rule, match: Match) -> bytes:
    envoy_match = route_match(match)
    forwards = rule.rule.backend_refs is not None
    if forwards and not rule.backends.targets:
        draft = RouteDraft(_unavailable(envoy_match, rule.rule_id, "missing backend"), rule.rule_id)
    else:
        draft = _draft(rule, match, envoy_match)
    frames = b"".join(_frame(route) for block in _effective_features(rule) for route in block.ahead(draft))
    if forwards and rule.backends.targets and rule.backends.lost:
        frames += _frame(_lost_share(envoy_match, rule))
    return frames + _frame(draft.route)


def _lost_share(envoy_match: rc.RouteMatch, rule: _Rule) -> rc.Route:
    """The share of references that do not resolve answers 500; the others keep theirs."""
    total = rule.backends.lost + sum(target.weight for target in rule.backends.targets)
    share = rc.RouteMatch()
    share.CopyFrom(envoy_match)
    already = share.runtime_fraction.default_value.numerator if share.HasField("runtime_fraction") else _MILLION
    write_fraction(share.runtime_fraction.default_value, already * rule.backends.lost // total)
    return _unavailable(share, rule.rule_id, "missing backend")


def _unavailable(envoy_match: rc.RouteMatch, rule_id: str, why: str) -> rc.Route:
    route = rc.Route(name=rule_id, match=envoy_match)
    route.direct_response.status = 500
    route.direct_response.body.inline_string = f"northgate: {why}\n"
    return route


def _draft(rule: _Rule, match: Match, envoy_match: rc.RouteMatch) -> RouteDraft:
    prefix = match.path.value if match.path is not None and match.path.type in (None, "PathPrefix") else "/"
    clusters = {path: names.cluster(key) for path, key in (rule.backends.features or {}).items()}
    draft = RouteDraft(rc.Route(name=rule.rule_id, match=envoy_match), rule.rule_id, prefix, clusters)
    if rule.rule.backend_refs is not None:
        _forward(draft.route.route, rule.backends)
    for block in _effective_features(rule):
        block.apply(draft)
    return draft


def _forward(action: rc.RouteAction, backends: RuleBackends) -> None:
    if backends.consistent_hash is not None:
        action.hash_policy.append(hash_policy(backends.consistent_hash))
    if len(backends.targets) == 1:
        action.cluster = names.cluster(backends.targets[0].cluster)
        return
    for target in backends.targets:
        action.weighted_clusters.clusters.add(name=names.cluster(target.cluster)).weight.value = target.weight


def _effective_features(rule: _Rule) -> Iterator[RouteFeature]:
    """The rule's blocks, with the gateway's defaults where a block is absent, in the order of the fields."""
    inherited = {"timeouts": rule.defaults.timeouts or _DEFAULT_TIMEOUTS, "retry": rule.defaults.retry}
    for field in FEATURES:
        block = getattr(rule.rule, field)
        if block is None:
            block = inherited.get(field)
        if block is not None:
            yield block


def _frame(route: rc.Route) -> bytes:
    return wire.field(_ROUTES_FIELD, wire.encode(route))
