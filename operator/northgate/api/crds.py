"""How does an API server learn the API? One CustomResourceDefinition per kind, generated from the models."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from northgate import __version__
from northgate.api.base import Model
from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.parse import GROUP
from northgate.api.parse import VERSION as API_VERSION
from northgate.api.route import RouteSpec
from northgate.api.schema import Schema, structural
from northgate.api.status import EdgeGatewayStatus, RouteStatus, UpstreamStatus
from northgate.api.upstream import UpstreamSpec

CATEGORY = "northgate"
BUNDLE = f"{GROUP}/bundle-version"
"""Annotation that says which release a CRD came with."""

LARGEST = 200_000
"""Bytes a CRD may have as JSON: `kubectl apply` keeps a copy in an annotation of at most 262,144."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `wide` ones need `-o wide`."""

    name: str
    path: str
    kind: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: how it is called, what it holds and which columns it shows."""

    name: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...]


def _condition(name: str, kind: str, field: str, *, wide: bool = False) -> Column:
    return Column(name, f'.status.conditions[?(@.type=="{kind}")].{field}', wide=wide)


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS: tuple[Kind, ...] = (
    Kind(
        "EdgeGateway",
        "edgegateways",
        "egw",
        "The edge of one point of presence: its listeners, its proxies, and what routes and upstreams inherit.",
        EdgeGatewaySpec,
        EdgeGatewayStatus,
        (
            Column("PoP", ".spec.pop"),
            Column("Listeners", ".status.attachedListeners", "integer"),
            Column("Routes", ".status.attachedRoutes", "integer"),
            Column("Proxies", ".status.proxies.summary"),
            _condition("Programmed", "Programmed", "status"),
            _condition("Reason", "Ready", "reason", wide=True),
            _AGE,
        ),
    ),
    Kind(
        "Route",
        "routes",
        "ngr",
        "What happens to requests for some hostnames on one or more EdgeGateways.",
        RouteSpec,
        RouteStatus,
        (
            Column("Gateway", ".spec.parentRefs[0].name"),
            Column("Hosts", ".spec.hostnames"),
            _condition("Programmed", "Programmed", "status"),
            _condition("Reason", "Ready", "reason"),
            _condition("Message", "Ready", "message", wide=True),
            _AGE,
        ),
    ),
    Kind(
        "Upstream",
        "upstreams",
        "ngu",
        "Where requests can be sent, and how carefully.",
        UpstreamSpec,
        UpstreamStatus,
        (
            Column("Endpoints", ".status.endpoints.summary"),
            _condition("Accepted", "Accepted", "status"),
            _AGE,
        ),
    ),
)
"""Every kind of the group, in the order they are printed."""


def generate() -> dict[str, str]:
    """The CRDs as YAML by file name. The same models give the same bytes."""
    return {f"{GROUP}_{kind.plural}.yaml": _yaml(definition(kind)) for kind in KINDS}


def write(directory: Path) -> tuple[Path, ...]:
    """Write the CRDs into a directory, which is made when it is not there; the files written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in generate().items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return tuple(written)


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, as plain JSON values."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "annotations": {BUNDLE: __version__}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": API_VERSION.removeprefix(f"{GROUP}/"),
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _column(column: Column) -> dict[str, Any]:
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.kind, "jsonPath": column.path, **wide}


def _root(kind: Kind) -> Schema:
    # Until the controller has seen an object, its status is older than any generation: tools wait instead of cheering.
    status = _kept(structural(kind.status)) | {"default": {"observedGeneration": -1}}
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"`{API_VERSION}`.", "type": "string"},
            "kind": {"description": f"`{kind.name}`.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": _kept(structural(kind.spec)),
            "status": status,
        },
    }


def _kept(schema: Schema) -> Schema:
    """A copy as an API server keeps it: without empty `properties`, or GitOps tools would see a difference for ever."""
    return {
        key: _kept(inner) if isinstance(inner, dict) else deepcopy(inner)
        for key, inner in schema.items()
        if (key, inner) != ("properties", {})
    }


class _Plain(yaml.SafeDumper):
    """Writes equal values out each time: anchors are not for people."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
