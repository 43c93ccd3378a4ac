"""Which share of the requests does each match take? Equal matches of a Route take theirs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from northgate.api.base import millionths
from northgate.api.feature import Share
from northgate.api.match import EVERYTHING, Match
from northgate.api.route import RouteSpec
from northgate.resolve.precedence import likeness

EVERY_REQUEST = Share()
_PRIME = 1_000_000_007


def shares(spec: RouteSpec) -> tuple[tuple[Share, ...], ...]:
    """The share of each match of each rule, in the order of the spec.

    A match with a `percent` begins where the equal ones before it end; an equal one without takes what is left.
    """
    matches = [rule.matches or (EVERYTHING,) for rule in spec.rules]
    if all(match.percent is None for each in matches for match in each):
        return tuple((EVERY_REQUEST,) * len(each) for each in matches)
    taken: Counter[Any] = Counter()
    drawn = [[_drawn(match, taken) for match in each] for each in matches]
    return tuple(
        tuple(share or Share(taken[likeness(match)]) for match, share in zip(each, found, strict=True))
        for each, found in zip(matches, drawn, strict=True)
    )


def _drawn(match: Match, taken: Counter[Any]) -> Share | None:
    if match.percent is None:
        return None
    key = likeness(match)
    low = taken[key]
    taken[key] = min(low + millionths(match.percent), EVERY_REQUEST.high)
    return Share(low, taken[key])


def unrelated(weights: Sequence[int]) -> tuple[int, ...]:
    """The weights with a prime sum, in the same proportions to eight digits.

    A proxy chooses by the remainder of a request's number by the sum of the weights, and decides on shares by its
    remainder by a million: with a common divisor the one would depend on the other.
    """
    ends = list(accumulate(weights, initial=0))
    return tuple(high - low for low, high in pairwise(end * _PRIME // ends[-1] for end in ends))
