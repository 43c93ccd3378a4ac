"""What does an object say about itself? The `status` blocks that users, `kubectl` and GitOps tools read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.base import Label, Model, unique
from northgate.api.refs import ParentRef

LONGEST_MESSAGE = 32768
"""Characters of a condition's message that Kubernetes tools accept; ours aim at 512."""

Count = Annotated[int, Field(ge=0, le=2147483647)]
Short = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=LONGEST_MESSAGE)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
# The API server keeps bounds as floating-point numbers: one beyond 2^53 - 1 may come out as another number.
Generation = Annotated[int, Field(ge=-1, le=9007199254740991, json_schema_extra={"format": "int64"})]


class PublishedCondition(Model):
    """One thing that is true, false or unknown about the object."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """What the condition is about, such as `Accepted`, `Programmed` or `Ready`."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, in one word."""
    message: Message
    """Why, in sentences that name the field and the remedy."""
    observed_generation: Generation | None = None
    """Generation of the object that this is about."""
    last_transition_time: Time
    """When `status` last changed."""


Conditions = Annotated[tuple[PublishedCondition, ...], Field(max_length=8)]


class Address(Model):
    """Where clients reach the edge."""

    type: Literal["IPAddress", "Hostname"]
    """What `value` is."""
    value: Annotated[str, Field(min_length=1, max_length=253)]
    """The address."""


class ListenerStatus(Model):
    """One listener as it is served."""

    name: Label
    """Name of the listener."""
    attached_routes: Count
    """Routes that are attached to it."""
    conditions: Conditions | None = None
    """Whether it is accepted, resolved and free of conflicts."""

    cross_rules = (unique("conditions", by="type"),)


class ProxyProblem(Model):
    """What one proxy refused."""

    node: Annotated[str, Field(min_length=1, max_length=256)]
    """Identity of the proxy, such as its Pod's name."""
    type: Short | None = None
    """Kind of the configuration it refused."""
    message: Annotated[str, Field(max_length=1024)]
    """What the proxy said."""


class Proxies(Model):
    """How many proxies there are, and how many serve this very configuration."""

    desired: Count | None = None
    """Proxies there should be."""
    connected: Count
    """Proxies that are connected."""
    synced: Count
    """Proxies that confirmed all of the current configuration."""
    rejected: Count
    """Proxies that refused a part of it."""
    summary: Annotated[str, Field(max_length=32)]
    """Synced of counted proxies, such as `2/3`."""
    problems: Annotated[tuple[ProxyProblem, ...], Field(max_length=10)] | None = None
    """The first ten refusals."""

    cross_rules = (unique("problems", by="node"),)


class Rejection(Model):
    """The last configuration that proxies refused."""

    version: Short
    """Version that was refused."""
    type: Short
    """Kind of the resource."""
    resource: Annotated[str, Field(max_length=1024)] | None = None
    """Name of the resource."""
    message: Annotated[str, Field(max_length=1024)]
    """What the proxy said."""
    time: Time
    """When it was refused."""


class SnapshotStatus(Model):
    """Versions of the configuration this gateway was compiled to."""

    version: Short
    """Version that is being delivered."""
    last_known_good: Short | None = None
    """Newest version that every counted proxy confirmed."""
    last_rejected: Rejection | None = None
    """The last refusal."""


class EdgeGatewayStatus(Model):
    """State of the edge, written by Northgate."""

    observed_generation: Generation | None = None
    """Generation of the object that this is about; -1 until it is first seen."""
    addresses: Annotated[tuple[Address, ...], Field(max_length=16)] | None = None
    """Where clients reach the edge."""
    attached_listeners: Count | None = None
    """Listeners that are programmed."""
    attached_routes: Count | None = None
    """Routes that are attached to at least one listener."""
    rejected_routes: Count | None = None
    """Routes that name this gateway and are not served as written."""
    listeners: Annotated[tuple[ListenerStatus, ...], Field(max_length=64)] | None = None
    """Each listener."""
    proxies: Proxies | None = None
    """The proxies."""
    snapshot: SnapshotStatus | None = None
    """What is being delivered to them."""
    conditions: Conditions | None = None
    """Accepted, ResolvedRefs, Programmed, Ready; Degraded, Reconciling and Stalled while they are true."""

    cross_rules = (unique("listeners", by="name"), unique("conditions", by="type"))


class RuleCounts(Model):
    """What became of the rules."""

    total: Count
    """Rules of the Route."""
    dropped: Count
    """Rules that answer 500 because something they need is missing."""
    last_good: Count
    """Rules served as an earlier version of the Route had them."""


class RouteParentStatus(Model):
    """The Route as one of its parents serves it."""

    parent_ref: ParentRef
    """The parent, as the Route names it."""
    conditions: Conditions
    """Accepted, ResolvedRefs, Programmed; PartiallyInvalid and Conflicted while they are true."""
    rules: RuleCounts | None = None
    """How many rules are served."""

    cross_rules = (unique("conditions", by="type"),)


class RouteStatus(Model):
    """State of the Route, written by Northgate."""

    observed_generation: Generation | None = None
    """Generation of the object that this is about; -1 until it is first seen."""
    parents: Annotated[tuple[RouteParentStatus, ...], Field(max_length=32)] | None = None
    """Each parent that knows the Route."""
    conditions: Conditions | None = None
    """Programmed and Ready over all parents; Reconciling and Stalled while they are true."""

    cross_rules = (unique("conditions", by="type"),)


class EndpointCounts(Model):
    """How many endpoints there are."""

    total: Count
    """Endpoints found."""
    healthy: Count
    """Endpoints that may be used."""
    summary: Annotated[str, Field(max_length=32)]
    """Usable of all endpoints, such as `10/12`."""


class UpstreamStatus(Model):
    """State of the Upstream, written by Northgate."""

    observed_generation: Generation | None = None
    """Generation of the object that this is about; -1 until it is first seen."""
    endpoints: EndpointCounts | None = None
    """Its endpoints."""
    conditions: Conditions | None = None
    """Accepted, ResolvedRefs and Ready; Degraded, Reconciling and Stalled while they are true."""

    cross_rules = (unique("conditions", by="type"),)
