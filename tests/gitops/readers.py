"""What do tools make of a status? The order in which kstatus decides, and Argo CD's way of running scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lupa import lua51

GITOPS = Path(__file__).parents[2] / "deploy" / "gitops"


def kstatus(document: dict[str, Any]) -> str:
    """What kubectl-like tools and Flux see, by the rules of kstatus for kinds they do not know."""
    metadata, status = document["metadata"], document.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"


def argo(document: dict[str, Any]) -> tuple[str, str]:
    """Health and message by the script for the kind."""
    lua: Any = lua51.LuaRuntime()
    lua.globals().obj = lua.table_from(document, recursive=True)
    found = lua.execute(script(document["kind"]))
    return str(found.status), str(found.message)


def script(kind: str) -> str:
    """The health script for a kind."""
    return (GITOPS / "argocd" / "health" / "northgate.dev" / kind / "health.lua").read_text()
