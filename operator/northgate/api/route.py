"""What is a Route? What happens to requests for some hostnames: rules with matches, one action and feature blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from northgate.api.base import Hostname, Label, Model, exactly_one, unique
from northgate.api.feature import RouteFeature
from northgate.api.match import Match
from northgate.api.refs import ParentRef, WeightedBackendRef
from northgate.features.headers import RequestHeaders, ResponseHeaders
from northgate.features.redirect import Redirect
from northgate.features.respond import Respond
from northgate.features.retry import Retry
from northgate.features.rewrite import Rewrite
from northgate.features.timeouts import Timeouts

_ACTIONS = ("backendRefs", "redirect", "respond")


class Rule(Model):
    """Some requests and what happens to them.

    The feature fields stand in the order in which a request meets them; their HTTP filters stand in the listeners'
    chains in this order too.
    """

    name: Label | None = None
    """Name of the rule, for status, logs and metrics."""
    matches: Annotated[tuple[Match, ...], Field(min_length=1, max_length=64)] | None = None
    """Requests the rule takes: any of these; every request when absent."""
    backend_refs: Annotated[tuple[WeightedBackendRef, ...], Field(min_length=1, max_length=16)] | None = None
    """Where requests are forwarded to, shared by weight."""

    redirect: Redirect | None = None
    """Answer with a redirect instead of forwarding."""
    respond: Respond | None = None
    """Answer with a fixed response instead of forwarding."""
    rewrite: Rewrite | None = None
    """Change path or host on the way to the backend."""
    request_headers: RequestHeaders | None = None
    """Change the headers the backend sees."""
    response_headers: ResponseHeaders | None = None
    """Change the headers the client sees."""
    # The two timeouts before the retries: a retry's `perTry` is more precise than `timeouts.backendRequest`.
    timeouts: Timeouts | None = None
    """Bound the time a request may take."""
    retry: Retry | None = None
    """Try failed requests again."""

    cross_rules = (exactly_one(*_ACTIONS),)

    def features(self) -> Iterator[tuple[str, RouteFeature]]:
        """The feature blocks that are present, by field name, in the order of the fields."""
        for field in FEATURES:
            block = getattr(self, field)
            if block is not None:
                yield field, block


def _feature_types() -> dict[str, type[RouteFeature]]:
    found: dict[str, type[RouteFeature]] = {}
    for name, field in Rule.model_fields.items():
        arguments = getattr(field.annotation, "__args__", ())
        blocks = [a for a in arguments if isinstance(a, type) and issubclass(a, RouteFeature)]
        if blocks:
            found[name] = blocks[0]
    return found


FEATURES: dict[str, type[RouteFeature]] = _feature_types()
"""The feature blocks of a rule by field name, in the order requests meet them."""


class RouteSpec(Model):
    """Requests for some hostnames on some gateways."""

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=16)]
    """EdgeGateways, or single listeners, this Route attaches to."""
    hostnames: Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=64)] | None = None
    """Hostnames this Route is about, `*.` in front for every name below; those of the listeners when absent."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=128)]
    """Rules; the most specific match of all Routes on a hostname is chosen, not the first."""

    cross_rules = (unique("hostnames"),)
