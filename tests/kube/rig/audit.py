"""Who asked the API server for what, and what was refused? Read from its audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}
"""Every call but those that the API server makes to itself, without bodies."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `code` is the HTTP status; `denied` says that RBAC refused it."""

    user: str
    agent: str
    verb: str
    uri: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    denied: bool

    @property
    def writes(self) -> bool:
        """Whether it could change anything."""
        return self.verb not in {"get", "list", "watch"}


class AuditLog:
    """The calls since the server's first start; it is written before a call's answer is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Now, for `since`."""
        return self._path.stat().st_size

    def calls(self, user: str = "", since: int = 0) -> tuple[Call, ...]:
        """Calls of a user (all without one) since a mark, in the order of answers. A watch counts from its start."""
        latest = {event["auditID"]: _call(event) for event in self._events(since)}
        return tuple(call for call in latest.values() if user in {"", call.user})

    def denied(self, user: str = "", since: int = 0) -> tuple[Call, ...]:
        """What RBAC refused."""
        return tuple(call for call in self.calls(user, since) if call.denied)

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):  # else it is still being written
                    yield json.loads(line)


def _call(event: dict[str, Any]) -> Call:
    target = event.get("objectRef", {})
    return Call(
        user=event["user"].get("username", ""),
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        uri=event["requestURI"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        denied=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
    )
