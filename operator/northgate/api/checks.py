"""What is wrong with an object that its schema cannot say? Mistakes seen without looking at any other object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch

from northgate.api.base import Model
from northgate.api.conditions import Problem, Reason
from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.match import CookieMatch, HeaderMatch, Match, PathMatch, QueryParamMatch
from northgate.api.networks import network_problem
from northgate.api.regex import matches_empty, regex_problem
from northgate.api.route import RouteSpec, Rule
from northgate.api.upstream import UpstreamSpec
from northgate.api.upstream_checks import defaults_problems, upstream_problems


@singledispatch
def problems_in(spec: Model) -> Iterator[Problem]:
    """The problems of one spec, with paths relative to it."""
    raise TypeError(f"no checks for {type(spec).__name__}")


@problems_in.register
def _gateway(spec: EdgeGatewaySpec) -> Iterator[Problem]:
    if spec.defaults is not None:
        for name, block in (("timeouts", spec.defaults.timeouts), ("retry", spec.defaults.retry)):
            if block is not None:
                yield from (problem.below("defaults", name) for problem in block.problems())
        if spec.defaults.upstream is not None:
            yield from (problem.below("defaults", "upstream") for problem in defaults_problems(spec.defaults.upstream))


@problems_in.register
def _upstream(spec: UpstreamSpec) -> Iterator[Problem]:
    return upstream_problems(spec)


@problems_in.register
def _route(spec: RouteSpec) -> Iterator[Problem]:
    for index, rule in enumerate(spec.rules):
        yield from (problem.below("rules", index) for problem in rule_problems(rule))


def rule_problems(rule: Rule) -> Iterator[Problem]:
    """The problems of one rule, with paths relative to it."""
    for index, match in enumerate(rule.matches or ()):
        yield from (problem.below("matches", index) for problem in match_problems(match))
    for name, block in rule.features():
        field = type(rule).model_fields[name].alias or name
        yield from (problem.below(field) for problem in block.problems())
    yield from _prefix_replacement(rule)
    yield from _share_in_maintenance(rule)


def match_problems(match: Match) -> Iterator[Problem]:
    """The problems of one match, with paths relative to it."""
    if match.path is not None:
        yield from (problem.below("path") for problem in _path_problems(match.path))
    parts: dict[str, Sequence[HeaderMatch | QueryParamMatch | CookieMatch]] = {
        "headers": match.headers or (),
        "queryParams": match.query_params or (),
        "cookies": match.cookies or (),
    }
    for field, matches in parts.items():
        for index, part in enumerate(matches):
            if part.type == "RegularExpression" and part.value is not None:
                yield from regex_problem(part.value, (field, index, "value"))
    for index, header in enumerate(match.headers or ()):
        yield from (problem.below("headers", index) for problem in _inverted_empty(header))
    for index, network in enumerate(match.client_addresses or ()):
        yield from network_problem(network, ("clientAddresses", index))


def _path_problems(path: PathMatch) -> Iterable[Problem]:
    if path.type == "RegularExpression":
        yield from regex_problem(path.value, ("value",))
    elif {".", ".."} & set(path.value.split("/")):
        found = f"{path.value} is never asked for: proxies resolve `.` and `..` before they match; leave them out"
        yield Problem(("value",), Reason.UNSUPPORTED_VALUE, found)


def _inverted_empty(header: HeaderMatch) -> Iterable[Problem]:
    """A proxy reads a missing header as an empty one where the match is inverted, so it cannot tell the two apart."""
    if header.invert and header.value is not None and _takes_nothing(header.type, header.value):
        found = (
            "matches the empty value, which cannot be inverted; "
            "take absent headers by type: Present with invert: true, values that are not empty by an expression like .+"
        )
        yield Problem(("value",), Reason.UNSUPPORTED_VALUE, found)


def _takes_nothing(kind: str | None, value: str) -> bool:
    return matches_empty(value) if kind == "RegularExpression" else value == ""


def _prefix_replacement(rule: Rule) -> Iterator[Problem]:
    by_prefix = all(m.path is None or m.path.type in (None, "PathPrefix") for m in rule.matches or ())
    for field, block in (("rewrite", rule.rewrite), ("redirect", rule.redirect)):
        if block is not None and block.path is not None and block.path.replace_prefix is not None and not by_prefix:
            yield Problem(
                (field, "path", "replacePrefix"),
                Reason.UNSUPPORTED_VALUE,
                "replaces a matched prefix, so every match of the rule needs a path of type PathPrefix; "
                "use replaceFull or regex",
            )


def _share_in_maintenance(rule: Rule) -> Iterator[Problem]:
    if rule.maintenance is not None and any(match.percent is not None for match in rule.matches or ()):
        found = "takes all requests of a rule, so its matches cannot have a percent; split the rule"
        yield Problem(("maintenance",), Reason.UNSUPPORTED_VALUE, found)
