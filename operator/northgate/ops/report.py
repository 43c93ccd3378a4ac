"""What does `northgate status` show? Gateways, proxies, every object's conditions, and what is wrong with files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from northgate.api.conditions import Problem, dotted
from northgate.control import ControlPlane
from northgate.deliver.ledger import ProxyReport
from northgate.ops.rendering import SHORT
from northgate.world.key import ObjectKey
from northgate.world.store import Entry

Report = dict[str, Any]
"""JSON values; the shape is what the functions here return."""

_SHORT = {type_url: short for short, type_url in SHORT.items()}


def report(plane: ControlPlane, files: Iterable[Report]) -> Report:
    """Everything: `gateways` with proxies, `objects` with their status, `problems` of files and of other kinds."""
    statuses = plane.statuses()
    return {
        "gateways": [gateway_report(plane, name) for name in plane.gateways()],
        "objects": [
            {"kind": key.kind, "namespace": key.namespace, "name": key.name, "status": status}
            for key, status in sorted(statuses.items())
        ],
        "problems": [*files, *_foreign_problems(plane)],
    }


def gateway_report(plane: ControlPlane, name: tuple[str, str]) -> Report:
    """A gateway's revision and proxies."""
    return {
        "name": "/".join(name),
        "revision": plane.revisions.get(name, 0),
        "proxies": [proxy_report(proxy) for proxy in plane.proxies(name)],
    }


def proxy_report(proxy: ProxyReport) -> Report:
    """A proxy's state per type, and the last thing it refused."""
    found: Report = {
        "node": proxy.proxy,
        "connected": proxy.connected,
        "since": proxy.since,
        "protocol": proxy.dialect,
        "syncedRevision": proxy.synced_revision,
        "types": {
            _SHORT[type_url]: {"state": one.state.value, "version": one.acked_version}
            for type_url, one in proxy.types.items()
        },
    }
    if proxy.last_rejection is not None:
        refused = proxy.last_rejection
        found["lastRejection"] = {
            "type": _SHORT.get(refused.type_url, refused.type_url),
            "version": refused.version,
            "resources": list(refused.resources),
            "message": refused.message,
            "time": refused.at,
        }
    return found


def _foreign_problems(plane: ControlPlane) -> Iterable[Report]:
    for key, entry in plane.edge.world.foreign():
        yield from (problem_report(key, entry, problem) for problem in entry.latest.problems)


def problem_report(key: ObjectKey, entry: Entry, problem: Problem) -> Report:
    """A mistake in an object of a kind that has no status of ours."""
    return {
        "object": str(key),
        "field": dotted(problem.path),
        "message": problem.message,
        "lastGoodServes": entry.fell_back,
    }


def summary(found: Mapping[str, Any]) -> str:
    """One line: how many objects are ready and how many proxies are in sync."""
    ready = sum(_ready(one) for one in found["objects"])
    proxies = [proxy for gateway in found["gateways"] for proxy in gateway["proxies"] if proxy["connected"]]
    synced = sum(all(one["state"] in ("SYNCED", "-") for one in proxy["types"].values()) for proxy in proxies)
    return f"{ready}/{len(found['objects'])} objects ready, {synced}/{len(proxies)} proxies in sync"


def _ready(found: Mapping[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"]["conditions"])
