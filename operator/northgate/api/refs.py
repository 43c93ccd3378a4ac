"""How do objects point at each other? References to parents, backends and Secrets, in Gateway API's spelling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.base import CrossRule, Label, Model, Name, Port


class ParentRef(Model):
    """An EdgeGateway, or one of its listeners, that a Route attaches to."""

    name: Name
    """Name of the EdgeGateway."""
    namespace: Label | None = None
    """Namespace of the EdgeGateway; the Route's own when absent."""
    section_name: Label | None = None
    """Name of one listener; when absent all listeners for HTTP and HTTPS that fit. Those for TCP and TLS need it."""
    port: Port | None = None
    """Port of the listeners; any when absent."""


class BackendRef(Model):
    """A Service or Upstream that requests are sent to."""

    kind: Literal["Service", "Upstream"] | None = None
    """Kind of the backend; `Service` when absent."""
    name: Name
    """Name of the backend."""
    namespace: Label | None = None
    """Namespace of the backend; the Route's own when absent. Another namespace needs a ReferenceGrant there."""
    port: Port | None = None
    """Port of the Service; an Upstream knows its own ports."""

    cross_rules = (
        CrossRule(
            "has(self.kind) && self.kind == 'Upstream' ? !has(self.port) : has(self.port)",
            "port is required for a Service and forbidden for an Upstream",
            lambda ref: (ref.port is None) == (ref.kind == "Upstream"),
        ),
    )


class WeightedBackendRef(BackendRef):
    """A backend with its share of the requests."""

    weight: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Share relative to the other backends of the rule; 1 when absent, 0 sends nothing."""


class SecretRef(Model):
    """A Secret, or for certificate authorities a ConfigMap."""

    kind: Literal["Secret", "ConfigMap"] | None = None
    """`Secret` when absent; a `ConfigMap` (key `ca.crt`) only where certificates without keys are read."""
    name: Name
    """Name of the Secret."""
    namespace: Label | None = None
    """Namespace of the Secret; the object's own when absent. Another namespace needs a ReferenceGrant there."""
