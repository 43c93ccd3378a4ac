"""What do a gateway's proxies read at their start? A ConfigMap: the bootstrap, and where their certificate lies."""

from __future__ import annotations

import json
from hashlib import blake2b

from northgate.api.base import octets
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.kube.workloads.labels import Document, metadata
from northgate.translate.bootstrap import BootstrapOptions, Limits, NodeIdentity, bootstrap_json
from northgate.translate.ports import STATS_PORT
from northgate.translate.statistics import StatsAddress
from northgate.translate.xds_tls import CERTIFICATE_FILE, TRUST_FILE, Mtls, certificate_source, trust_source

CONFIG = "/etc/northgate"
CERTIFICATES = "/etc/northgate-certificates"
RUN = "/run/northgate"
BOOTSTRAP = f"{CONFIG}/bootstrap.json"
ADMIN = f"{RUN}/envoy/admin.sock"

_HEAP_PERCENT = 80
"""Of the container's memory; the rest is for the supervisor and for what Envoy does not count."""


def config_map(gateway: Gateway, installation: Installation) -> Document:
    """The ConfigMap of a gateway."""
    data = {
        "bootstrap.json": _pretty(bootstrap_json(bootstrap_options(gateway, installation))),
        CERTIFICATE_FILE: _pretty(certificate_source(CERTIFICATES)),
        TRUST_FILE: _pretty(trust_source(CERTIFICATES, installation.xds.host)),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(gateway), "data": data}


def config_hash(config: Document) -> str:
    """A hash of what a ConfigMap holds: pods are replaced when it changes, and only then."""
    return blake2b(json.dumps(config["data"], sort_keys=True).encode(), digest_size=8).hexdigest()


def bootstrap_options(gateway: Gateway, installation: Installation) -> BootstrapOptions:
    """The bootstrap of all proxies of a gateway. Each adds its own id, the name of its pod."""
    hardening = gateway.spec.hardening
    connections = (hardening.max_connections if hardening else None) or Limits().connections
    return BootstrapOptions(
        NodeIdentity("", f"{gateway.namespace}/{gateway.name}", gateway.spec.pop or ""),
        installation.xds,
        ADMIN,
        limits=Limits(connections, _heap(gateway)),
        tls=Mtls(CONFIG),
        stats=StatsAddress(STATS_PORT),
    )


def _heap(gateway: Gateway) -> int:
    resources = gateway.proxy.resources
    limits = resources.limits if resources else None
    return octets(limits.memory) * _HEAP_PERCENT // 100 if limits and limits.memory else 0


def _pretty(text: str) -> str:
    return json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
