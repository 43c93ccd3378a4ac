"""What is a Route? What happens to requests for some hostnames: rules with matches, one action and feature blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from northgate.api.base import CrossRule, Hostname, Label, Model, exactly_one, unique
from northgate.api.feature import RouteFeature
from northgate.api.match import Match
from northgate.api.refs import ParentRef, WeightedBackendRef
from northgate.features.access import Access
from northgate.features.compression import Compression
from northgate.features.cors import Cors
from northgate.features.fault import Fault
from northgate.features.headers import RequestHeaders, ResponseHeaders
from northgate.features.hedge import Hedge
from northgate.features.maintenance import Maintenance
from northgate.features.mirror import Mirror
from northgate.features.rate_limit import RateLimit
from northgate.features.redirect import Redirect
from northgate.features.reset import Drop, Reset
from northgate.features.respond import Respond
from northgate.features.retry import Retry
from northgate.features.rewrite import Rewrite
from northgate.features.session_persistence import SessionPersistence
from northgate.features.timeouts import Timeouts

_ACTIONS = ("backendRefs", "redirect", "respond", "reset", "drop")
_ON_THE_WAY = ("cors", "rewrite", "requestHeaders", "mirror", "timeouts", "retry", "hedge", "sessionPersistence")


def _bounds_tries(rule: Rule) -> bool:
    by_retry = rule.retry is not None and rule.retry.per_try is not None
    return by_retry or (rule.timeouts is not None and rule.timeouts.backend_request is not None)


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

    # Its page needs nothing else of the rule, not even backends.
    maintenance: Maintenance | None = None
    """Answer with a page while the rule is out of service."""
    # Before all that may refuse: preflights carry no credentials, and pages must be able to read refusals.
    cors: Cors | None = None
    """Let pages of other origins call this rule from browsers."""
    # Before the limits: who is kept out uses up nothing.
    access: Access | None = None
    """Let clients in or keep them out by their addresses."""
    rate_limit: RateLimit | None = None
    """Bound the number of requests."""
    # Behind what guards the rule: refused requests are not part of the experiment.
    fault: Fault | None = None
    """Fail, delay or slow down a share of the requests on purpose."""
    # Behind the faults: answers are compressed before they are slowed down.
    compression: Compression | None = None
    """Compress answers."""
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
    mirror: Mirror | None = None
    """Send copies of requests to another backend."""
    # The two timeouts before the retries: a retry's `perTry` is more precise than `timeouts.backendRequest`.
    timeouts: Timeouts | None = None
    """Bound the time a request may take."""
    retry: Retry | None = None
    """Try failed requests again."""
    # After both: a copy is sent at the bound on each try, and is one of the retries.
    hedge: Hedge | None = None
    """Send a slow request a second time, to another backend."""
    session_persistence: SessionPersistence | None = None
    """Keep a client at one endpoint."""

    # What takes the backend's place stands behind all that may still refuse or answer a request.
    reset: Reset | None = None
    """Close the connection without an answer instead of forwarding."""
    drop: Drop | None = None
    """Let the client wait and close the connection without an answer instead of forwarding."""

    cross_rules = (
        exactly_one(*_ACTIONS),
        CrossRule(
            "has(self.backendRefs) || !(" + " || ".join(f"has(self.{field})" for field in _ON_THE_WAY) + ")",
            f"{', '.join(_ON_THE_WAY)} need backendRefs: a rule that answers by itself forwards nothing",
            lambda rule: rule.backend_refs is not None or rule.present(*_ON_THE_WAY) == 0,
        ),
        CrossRule(
            "!has(self.responseHeaders) || !(has(self.reset) || has(self.drop))",
            "responseHeaders need an answer; reset and drop give none",
            lambda rule: rule.response_headers is None or rule.present("reset", "drop") == 0,
        ),
        CrossRule(
            "!has(self.fault) || !(has(self.reset) || has(self.drop))",
            "fault needs something to fail; reset and drop are failures themselves",
            lambda rule: rule.fault is None or rule.present("reset", "drop") == 0,
        ),
        CrossRule(
            "!has(self.hedge) || !(has(self.retry) && has(self.retry.perTry)"
            " || has(self.timeouts) && has(self.timeouts.backendRequest))",
            "hedge.after takes the place of retry.perTry and timeouts.backendRequest; leave them out",
            lambda rule: rule.hedge is None or not _bounds_tries(rule),
        ),
        CrossRule(
            "!has(self.sessionPersistence) || !has(self.backendRefs) || size(self.backendRefs) == 1",
            "sessionPersistence needs exactly one backend; put several Services into one Upstream",
            lambda rule: rule.session_persistence is None or len(rule.backend_refs or (None,)) == 1,
        ),
    )

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
