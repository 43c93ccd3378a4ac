"""Which port does a proxy in a cluster bind? One above 1023, so that it needs no rights; this is said here alone."""

from __future__ import annotations

from northgate.translate.listeners import Binding

_PRIVILEGED = 1024
_SHIFT = 64_512

STATS_PORT = 64_510
"""Where a proxy's statistics are read."""
PROBE_PORT = 64_511
"""Where a proxy answers the kubelet's probes."""


def bound_port(port: int) -> int:
    """The port a proxy binds for a listener's: no two share one, since listeners have none above 64509."""
    return port + _SHIFT if port < _PRIVILEGED else port


def cluster_binding() -> Binding:
    """What the listeners of proxies in a cluster are bound to."""
    return Binding(ports={port: bound_port(port) for port in range(1, _PRIVILEGED)})
