"""What is a route feature? A block of a rule that says what it means to Envoy; one file in `features/` each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from envoy.config.route.v3 import route_components_pb2 as rc

from northgate.api.base import Model
from northgate.api.conditions import Path, Problem
from northgate.api.refs import BackendRef


@dataclass(frozen=True, slots=True)
class HttpFilter:
    """An HTTP filter that stands, disabled, in every listener's chain; routes switch it on.

    `config` makes its chain-level configuration; it is the same for every listener.
    """

    name: str
    config: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Share:
    """The requests of a route among all requests: those whose random number is from `low` to below `high`.

    A proxy draws one number below a million for each request and uses it for every choice by chance, so choices that
    follow one another are parts of one range.
    """

    low: int = 0
    high: int = 1_000_000

    def part(self, parts: int, whole: int = 1_000_000) -> int:
        """Where the first `parts` of `whole` equal parts of this share end: the numerator that takes just them."""
        return self.low + (self.high - self.low) * parts // whole


@dataclass(slots=True)
class RouteDraft:
    """One Envoy route under construction, handed from feature to feature in the order of the rule's fields.

    `route` has its match and its action set already. `rule_id` is `namespace/route/rule`, stable and unique.
    `prefix` is the path prefix the route matches, for what replaces it. `clusters` maps the path of each backend
    reference the rule's features made, field name first, to the name of its cluster; a missing path means the
    reference did not resolve. `share` says which of the requests that match otherwise come here.
    """

    route: rc.Route
    rule_id: str
    prefix: str = "/"
    clusters: Mapping[Path, str] = field(default_factory=dict)
    share: Share = Share()

    @property
    def action(self) -> rc.RouteAction | None:
        """What forwards the request, or None for a rule that answers by itself."""
        return self.route.route if self.route.HasField("route") else None

    def enable(self, filter_name: str, config: Any) -> None:
        """Switch an HTTP filter on for this route. `config` is its per-route message."""
        self.route.typed_per_filter_config[filter_name].Pack(config, deterministic=True)


class RouteFeature(Model):
    """Base of the feature blocks. A feature overrides what it needs; everything here is pure."""

    filters: ClassVar[tuple[HttpFilter, ...]] = ()
    """HTTP filters this feature uses, in the order they stand in the chain."""

    answers: ClassVar[bool] = False
    """True for a block that is the rule's action: it answers the request instead of forwarding it."""

    def problems(self) -> Iterable[Problem]:
        """What the schema cannot say and Envoy would refuse, with paths relative to this block."""
        return ()

    def backends(self) -> Iterable[tuple[Path, BackendRef]]:
        """Backends this feature needs, with their paths relative to this block."""
        return ()

    def apply(self, draft: RouteDraft) -> None:
        """Write this block into the route."""

    def ahead(self, draft: RouteDraft) -> Iterable[rc.Route]:  # noqa: ARG002 - for the blocks that override it
        """Routes that stand before the rule's own, for requests this block takes from it.

        `draft` is finished; leave it as it is. Where the rule's backends are missing its route answers 500 and no
        block has been applied.
        """
        return ()
