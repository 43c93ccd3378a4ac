"""Is there anything to write? A status as we have it against the status the cluster has, and what to send of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from northgate.api.conditions import Type

Document = dict[str, Any]

_OURS = frozenset(str(kind) for kind in Type)
_NESTED = (("parents", "parentRef"), ("listeners", "name"))


def adopted(status: Document, observed: Mapping[str, Any]) -> Document:
    """The status with the transition times the cluster has, for conditions that are there what they are here.

    Every replica sees transitions when it sees them; the one that was written first is the one users know.
    """
    found = {**status, "conditions": _timed(status["conditions"], observed.get("conditions"))}
    for name, identity in _NESTED:
        if name in status:
            before = {_known_as(one[identity]): one for one in _entries(observed.get(name)) if identity in one}
            found[name] = [_entry(one, before.get(_known_as(one[identity]), {})) for one in status[name]]
    return found


def same(status: Document, observed: Mapping[str, Any]) -> bool:
    """Whether the cluster's status says all of ours and, where it is ours to speak, nothing else.

    Types of conditions that are not Northgate's are left to whoever wrote them.
    """
    ours = [one for one in _entries(observed.get("conditions")) if one.get("type") in _OURS]
    return {**observed, "conditions": _by_type(ours)} == {**status, "conditions": _by_type(status["conditions"])}


def whole(status: Document, observed: Mapping[str, Any]) -> Document:
    """The status and, beside our conditions, those of others that the cluster has."""
    others = [one for one in _entries(observed.get("conditions")) if one.get("type") not in _OURS]
    return {**status, "conditions": [*status["conditions"], *others]}


def outdated(status: Document, observed: Mapping[str, Any]) -> bool:
    """Whether the status is about an earlier generation than the one the cluster has."""
    return int(status.get("observedGeneration", -1)) < int(observed.get("observedGeneration", -1))


def _entry(one: Document, before: Mapping[str, Any]) -> Document:
    return {**one, "conditions": _timed(one["conditions"], before.get("conditions"))} if "conditions" in one else one


def _timed(conditions: Sequence[Document], observed: object) -> list[Document]:
    was = {one.get("type"): one for one in _entries(observed)}
    return [_with_time(condition, was.get(condition["type"], {})) for condition in conditions]


def _with_time(condition: Document, was: Mapping[str, Any]) -> Document:
    if was.get("status") != condition["status"] or not was.get("lastTransitionTime"):
        return condition
    return {**condition, "lastTransitionTime": was["lastTransitionTime"]}


def _by_type(conditions: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(one["type"]): one for one in conditions}


def _entries(found: object) -> list[Document]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _known_as(identity: object) -> str:
    return json.dumps(identity, sort_keys=True)
