"""What is to be written, left alone, refused or removed? Decided from what is wanted and what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import MANAGER, Document, label_value

APPLIED = "northgate.dev/applied"
"""Annotation with a hash of what was applied: what is wanted no more can be seen by it."""

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_DECIMAL = {suffix: Decimal(1000) ** power for power, suffix in enumerate(("m", "", "k", "M", "G", "T"), -1)}
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)}
_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})
_SHARED_LISTS = frozenset(
    {"containers", "volumes", "volumeMounts", "env", "ports", "ownerReferences", "topologySpreadConstraints"}
)
"""Lists whose entries have keys of their own, so that others may add to them (listType: map)."""


_RUNNERS = ("Deployment", "DaemonSet")
"""One of them goes when the other serves, unless both want the same nodes' ports."""


class Which(NamedTuple):
    """An object among those of a namespace."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Apply a document. `uid` is that of the object it goes to, empty to make one.

    `replicas` is a number that stays what it is though it is not ours any more: an autoscaler's from now on.
    """

    document: Document
    uid: str = ""
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that was not written, and why: a sentence for the gateway's status."""

    which: Which
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order."""

    writes: tuple[Write, ...] = ()
    removals: tuple[Document, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def which(document: Mapping[str, Any]) -> Which:
    """Which object a document is."""
    return Which(document["apiVersion"], document["kind"], document["metadata"]["name"])


def stamped(document: Document) -> Document:
    """The document with the hash of itself."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    about = document["metadata"]
    annotations = {**about.get("annotations", {}), APPLIED: digest}
    return {**document, "metadata": {**about, "annotations": annotations}}


def plan(gateway: Gateway, wanted: Iterable[Document], held: Mapping[Which, Document]) -> Plan:
    """What brings a gateway's objects from what is held to what is wanted; `held` has all that may be concerned."""
    writes: list[Write] = []
    refusals: list[Refusal] = []
    kept = set()
    for document in map(stamped, wanted):
        key = which(document)
        kept.add(key)
        there = held.get(key)
        if there is None:
            writes.append(Write(document))
        elif not is_ours(gateway, there):
            refusals.append(Refusal(key, _foreign(key, there)))
        elif not covers(there, document):
            writes.append(Write(document, there["metadata"]["uid"], _handed_over(there, document)))
    gone = [there for key, there in sorted(held.items()) if key not in kept and is_ours(gateway, there)]
    waits = not (gateway.proxy.host_network or all(_serves(held.get(key)) for key in kept if key.kind in _RUNNERS))
    removals = (one for one in gone if not (_ends(one) or (waits and one["kind"] in _RUNNERS)))
    return Plan(tuple(writes), tuple(removals), tuple(refusals))


def is_ours(gateway: Gateway, there: Mapping[str, Any]) -> bool:
    """Whether we made an object for this gateway: it owns it; or nobody does, we applied it, and it bears our label."""
    about = there["metadata"]
    owners = [one for one in about.get("ownerReferences", ()) if one.get("controller")]
    if owners:
        return any(one.get("uid") == gateway.uid for one in owners)
    labelled = about.get("labels", {}).get("northgate.dev/owning-gateway-name") == label_value(gateway.name)
    return labelled and _applied(there) is not None


def covers(there: Any, wanted: Any, field: str = "") -> bool:
    """Whether an object, or a part of it in this field, has all that is wanted; what others added is theirs."""
    match wanted:
        case dict():
            return isinstance(there, dict) and all(
                key in there and covers(there[key], value, key) for key, value in wanted.items()
            )
        case list() if field in _SHARED_LISTS:
            return isinstance(there, list) and all(any(covers(one, entry) for one in there) for entry in wanted)
        case list():
            same = isinstance(there, list) and len(there) == len(wanted)
            return same and all(covers(one, entry) for one, entry in zip(there, wanted, strict=True))
        case str() if field in _QUANTITIES and isinstance(there, str):
            return _quantity(there) == _quantity(wanted)
        case _:
            return bool(there == wanted)


def _quantity(text: str) -> Decimal | str:
    """An amount; the API server writes the same one in its own way."""
    found = _QUANTITY.fullmatch(text)
    return Decimal(found[1]) * (_DECIMAL | _BINARY)[found[2] or ""] if found else text


def _handed_over(there: Mapping[str, Any], wanted: Document) -> int | None:
    """The replicas that an API server would forget, and set to 1, if we just ceased to own them."""
    applied = _applied(there) or {}
    owned = "f:replicas" in applied.get("f:spec", {})
    return there["spec"].get("replicas") if owned and "replicas" not in wanted["spec"] else None


def _applied(there: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The fields of an object that we applied; None when we did not."""
    for one in there["metadata"].get("managedFields", ()):
        if one.get("manager") == MANAGER and one.get("operation") == "Apply" and not one.get("subresource"):
            return dict(one.get("fieldsV1") or {})
    return None


def _serves(there: Mapping[str, Any] | None) -> bool:
    """Whether all pods of a Deployment or DaemonSet are there."""
    status = (there or {}).get("status", {})
    if there is None or there["kind"] == "DaemonSet":
        return bool(0 < status.get("desiredNumberScheduled", 0) <= status.get("numberAvailable", 0))
    return bool(there["spec"].get("replicas", 1) <= status.get("availableReplicas", 0))


def _ends(there: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in there["metadata"]


def _foreign(key: Which, there: Mapping[str, Any]) -> str:
    if _ends(there):
        return f"{key.kind} {key.name} of an earlier gateway is being deleted; it is made anew when it is gone"
    return f"{key.kind} {key.name} exists and was not made for this gateway; delete or rename it"
