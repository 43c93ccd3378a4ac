"""Which lists may a Kustomize patch merge? Those whose order means nothing, by their key: the schema that says so.

Kustomize puts this schema in the place of its own, for everything in a build. So it tells of the lists of Deployments,
DaemonSets, StatefulSets and Services as well; without them, a patch of one container would drop the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from northgate.api.crds import KINDS
from northgate.api.parse import GROUP, VERSION
from northgate.api.schema import Schema, structural

_CONTAINER = {
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}
_POD = {
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "volumes": "name",
}


def merge_schema() -> str:
    """The schema as JSON, for `openapi: {path: …}` in a kustomization. The same models give the same bytes."""
    own = {f"dev.northgate.{kind.name}": _own(kind.name, structural(kind.spec)) for kind in KINDS}
    return json.dumps({"definitions": own | _workloads() | _services()}, indent=1) + "\n"


def _own(kind: str, spec: Schema) -> Schema:
    return _definition(GROUP, VERSION.removeprefix(f"{GROUP}/"), kind, _mergeable(spec) or {"type": "object"})


def _mergeable(schema: Schema) -> Schema | None:
    """Of a schema the ways to lists that have a key; None if there are none. Order means something in all others."""
    match schema.get("type"):
        case "object":
            found = {name: _mergeable(inner) for name, inner in schema.get("properties", {}).items()}
            below = {name: inner for name, inner in found.items() if inner is not None}
            return _block(below) if below else None
        case "array" if schema.get("x-kubernetes-list-type") == "map":
            (key,) = schema["x-kubernetes-list-map-keys"]
            return _merged(key, _mergeable(schema["items"]))
        case _:
            return None


def _workloads() -> dict[str, Schema]:
    container = _block({name: _merged(key) for name, key in _CONTAINER.items()})
    lists = {name: _merged(key) for name, key in _POD.items()}
    pod = _block(lists | {name: _merged("name", container) for name in ("containers", "initContainers")})
    spec = _block({"template": _block({"spec": pod})})
    kinds = ("Deployment", "DaemonSet", "StatefulSet")
    return {f"io.k8s.api.apps.v1.{kind}": _definition("apps", "v1", kind, spec) for kind in kinds}


def _services() -> dict[str, Schema]:
    return {"io.k8s.api.core.v1.Service": _definition("", "v1", "Service", _block({"ports": _merged("port")}))}


def _definition(group: str, version: str, kind: str, spec: Schema) -> Schema:
    identity = [{"group": group, "kind": kind, "version": version}]
    return {**_block({"spec": spec}), "x-kubernetes-group-version-kind": identity}


def _block(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": dict(properties)}


def _merged(key: str, items: Schema | None = None) -> Schema:
    return {
        "type": "array",
        "items": items or {"type": "object"},
        "x-kubernetes-patch-merge-key": key,
        "x-kubernetes-patch-strategy": "merge",
    }
