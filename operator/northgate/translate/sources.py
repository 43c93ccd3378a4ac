"""Where does a proxy ask for a resource? At the control plane it is already connected to, for as long as it takes."""

from __future__ import annotations

from envoy.config.core.v3 import config_source_pb2 as cs


def ads() -> cs.ConfigSource:
    """ADS without a time limit: a proxy that gave up waiting would serve with holes in its configuration."""
    source = cs.ConfigSource(resource_api_version=cs.ApiVersion.V3)
    source.ads.SetInParent()
    source.initial_fetch_timeout.SetInParent()
    return source
