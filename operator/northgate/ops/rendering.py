"""How do people read resources? As YAML or JSON in Envoy's own field names, private keys left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.json_format import MessageToDict

from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource

SHORT = {"lds": LISTENER, "rds": ROUTE, "cds": CLUSTER, "eds": ENDPOINT, "sds": SECRET}
"""The types by the short names operators know."""

_MESSAGES: dict[str, Any] = {
    LISTENER: Listener,
    ROUTE: RouteConfiguration,
    CLUSTER: Cluster,
    ENDPOINT: ClusterLoadAssignment,
    SECRET: Secret,
}
_REDACTED = "[redacted]"
_MAPS = frozenset({"typed_per_filter_config", "typed_extension_protocol_options", "policies", "filter_metadata"})
"""Fields that are maps, whose entries come in any order; `policies` is a list in other places."""


def readable(resource: Resource) -> dict[str, Any]:
    """A resource as JSON values. Keys, session tickets and passwords are replaced by `[redacted]`."""
    message = _MESSAGES[resource.type_url].FromString(resource.body)
    found: dict[str, Any] = _ordered(MessageToDict(message, preserving_proto_field_name=True))
    if resource.type_url == SECRET:
        _redact(found)
    return found


def by_type(resources: Mapping[str, Mapping[str, Resource]], types: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Resources by short type name, each sorted by name."""
    return {
        short: [readable(held[name]) for name in sorted(held)]
        for short in types
        if (held := resources.get(SHORT[short], {}))
    }


def as_yaml(value: Any) -> str:
    """YAML of JSON values."""
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, width=120)


def as_json(value: Any) -> str:
    """JSON with indentation."""
    return json.dumps(value, indent=2) + "\n"


def _ordered(value: Any) -> Any:
    """The same values with the entries of maps sorted, so that a resource always reads the same."""
    if isinstance(value, list):
        return [_ordered(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: dict(sorted(entry.items())) if key in _MAPS and isinstance(entry, dict) else entry
        for key, entry in ((key, _ordered(inner)) for key, inner in value.items())
    }


def _redact(secret: dict[str, Any]) -> None:
    certificate = secret.get("tls_certificate", {})
    for field in ("private_key", "password"):
        if field in certificate:
            certificate[field] = {"inline_string": _REDACTED}
    if "certificate_chain" in certificate:
        certificate["certificate_chain"] = {"inline_string": "[certificate chain]"}
    for field in ("session_ticket_keys", "generic_secret"):
        if field in secret:
            secret[field] = _REDACTED
