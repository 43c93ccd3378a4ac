"""What did the user write? A document becomes a value of its kind, or problems that name field and remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from northgate.api import kubernetes as k8s
from northgate.api.base import Model
from northgate.api.certificates import certificate_problems
from northgate.api.checks import problems_in
from northgate.api.conditions import Problem, Reason
from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.problems import problems_of
from northgate.api.route import RouteSpec
from northgate.api.upstream import UpstreamSpec

GROUP = "northgate.dev"
VERSION = f"{GROUP}/v1alpha1"

SPECS: dict[str, type[Model]] = {"EdgeGateway": EdgeGatewaySpec, "Route": RouteSpec, "Upstream": UpstreamSpec}
"""Northgate's own kinds."""

READERS: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
    ("", "Service"): k8s.read_service,
    ("", "Secret"): k8s.read_secret,
    ("", "ConfigMap"): k8s.read_config_map,
    ("", "Namespace"): k8s.read_namespace,
    ("discovery.k8s.io", "EndpointSlice"): k8s.read_endpoint_slice,
    ("gateway.networking.k8s.io", "ReferenceGrant"): k8s.read_reference_grant,
    (GROUP, "ReferenceGrant"): k8s.read_reference_grant,
}
"""Kinds of Kubernetes and Gateway API by group and kind."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One version of an object. `spec` is None when it could not be read at all.

    `problems` are mistakes in the object itself, seen without looking at any other object.
    `created` is its creation time as Kubernetes writes it, `""` when unknown.
    """

    generation: int
    created: str
    spec: Any
    problems: tuple[Problem, ...] = ()

    @property
    def good(self) -> bool:
        """True when nothing is wrong with this version by itself."""
        return self.spec is not None and not self.problems


def known(group: str, kind: str) -> bool:
    """True for the kinds Northgate reads."""
    return (group, kind) in READERS or (group == GROUP and kind in SPECS)


def parse(group: str, kind: str, document: Mapping[str, Any]) -> Parsed:
    """Read a document of a known kind. Total: whatever is wrong comes back as problems."""
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping):
        metadata = {}
    generation = metadata.get("generation")
    created = metadata.get("creationTimestamp")
    spec, problems = _read(group, kind, document)
    return Parsed(
        generation if isinstance(generation, int) else 1,
        created if isinstance(created, str) else "",
        spec,
        problems,
    )


def _read(group: str, kind: str, document: Mapping[str, Any]) -> tuple[Any, tuple[Problem, ...]]:
    if group == GROUP and kind in SPECS:
        return _own(SPECS[kind], document)
    try:
        found = READERS[group, kind](document)
    except k8s.ShapeError as error:
        return None, (Problem(error.path, Reason.INVALID, error.message),)
    except UnicodeEncodeError:
        half = "a text holds half of a surrogate pair, which is no character; write it in UTF-8"
        return None, (Problem((), Reason.INVALID, half),)
    return found, tuple(certificate_problems(found))


def _own(model: type[Model], document: Mapping[str, Any]) -> tuple[Model | None, tuple[Problem, ...]]:
    version = document.get("apiVersion")
    if version != VERSION:
        wanted = f"apiVersion is {version!r}, but this release reads {VERSION}; write that"
        return None, (Problem(("apiVersion",), Reason.INVALID, wanted),)
    unknown = sorted(set(document) - {"apiVersion", "kind", "metadata", "spec", "status"})
    if unknown:
        remedy = "remove it, or indent it below spec"
        return None, tuple(Problem((name,), Reason.INVALID, f"unknown field; {remedy}") for name in unknown)
    try:
        encoded = json.dumps(document.get("spec"), allow_nan=False)
        spec = model.model_validate_json(encoded, by_alias=True, by_name=False)
    except ValidationError as error:
        return None, tuple(problem.below("spec") for problem in problems_of(error, model))
    except (TypeError, ValueError, RecursionError) as error:
        return None, (Problem(("spec",), Reason.INVALID, f"not representable as JSON: {error}"),)
    return spec, tuple(problem.below("spec") for problem in problems_in(spec))
