"""How do a gateway's objects come to be as they are wanted? By server-side apply, and only where something differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from northgate.kube.drift import Plan, Refusal, Which, Write, plan, which
from northgate.kube.workloads.children import KINDS
from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import MANAGER, Document, selector

_HANDOVER = f"{MANAGER}-handover"
"""Field manager that keeps a number in its place between two owners."""
_BAD, _NOT_FOUND, _CONFLICT = 400, 404, 409
_SECONDS = 10.0
_PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}


class ApplyError(Exception):
    """The API server could not be asked, or said no: one sentence. Nothing is known of what else there is to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was done: names of what was written and removed, and what could not be."""

    written: tuple[Which, ...] = ()
    removed: tuple[Which, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class Applier:
    """Writes objects. `session` has the API server as its base; `may_write` is asked right before each write.

    Once that says no nothing more is written: somebody else leads now.
    """

    def __init__(self, session: aiohttp.ClientSession, may_write: Callable[[], bool] = lambda: True) -> None:
        self._session = session
        self._may_write = may_write

    async def apply(self, gateway: Gateway, wanted: Sequence[Document]) -> Report:
        """Bring a gateway's objects to what is wanted, and remove those of `KINDS` that are wanted no more.

        Called again and again: it writes only what differs. ApplyError when what there is cannot be read.
        """
        decided = plan(gateway, wanted, await self._held(gateway, wanted))
        written, refused = await self._write(gateway, decided)
        refusals = (*decided.refusals, *refused)
        if refusals:
            # What is there may be all that serves.
            return Report(written, (), refusals)
        removed, refused = await self._remove(gateway, decided.removals)
        return Report(written, removed, refused)

    async def _held(self, gateway: Gateway, wanted: Iterable[Document]) -> dict[Which, Document]:
        """The objects with a gateway's labels, and whatever has the name of one that is wanted."""
        labels = selector(gateway)
        query = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
        found: dict[Which, Document] = {}
        for api_version, kind in KINDS:
            path = _path(gateway.namespace, Which(api_version, kind, ""))
            listed = await self._read(path, labelSelector=query)
            if listed is None:
                # Not knowing what there is is not the same as knowing that there is nothing.
                raise ApplyError(f"{path} cannot be read: the API server does not serve it")
            for one in listed.get("items", ()):
                document = {**one, "apiVersion": api_version, "kind": kind}
                found[which(document)] = document
        for key in map(which, wanted):
            if key not in found and (there := await self._read(_path(gateway.namespace, key))) is not None:
                found[key] = there
        return found

    async def _write(self, gateway: Gateway, decided: Plan) -> tuple[tuple[Which, ...], tuple[Refusal, ...]]:
        written: list[Which] = []
        refusals: list[Refusal] = []
        for write in decided.writes:
            key = which(write.document)
            if not self._may_write():
                break
            try:
                await self._write_one(_path(gateway.namespace, key), write)
                written.append(key)
            except ApplyError as error:
                refusals.append(Refusal(key, f"{key.kind} {key.name} was not written: {error}"))
        return tuple(written), tuple(refusals)

    async def _write_one(self, path: str, write: Write) -> None:
        if write.replicas is not None:
            about = {"name": write.document["metadata"]["name"], "uid": write.uid}
            spec = {"replicas": write.replicas}
            kept = {**_identity(write.document), "metadata": about, "spec": spec}
            await self._patch(path, kept, _HANDOVER, force=True)
        about = write.document["metadata"] | ({"uid": write.uid} if write.uid else {})
        # What is not there is made without force: somebody else may have made one meanwhile.
        await self._patch(path, {**write.document, "metadata": about}, MANAGER, force=bool(write.uid))

    async def _remove(
        self, gateway: Gateway, removals: Iterable[Document]
    ) -> tuple[tuple[Which, ...], tuple[Refusal, ...]]:
        removed: list[Which] = []
        refusals: list[Refusal] = []
        for there in removals:
            if not self._may_write():
                break
            options = {"preconditions": {"uid": there["metadata"]["uid"]}, "propagationPolicy": "Background"}
            key = which(there)
            path = _path(gateway.namespace, key)
            status, answer = await self._ask("DELETE", path, options, "application/json", {})
            if status < _BAD:
                removed.append(key)
            elif status not in (_NOT_FOUND, _CONFLICT):
                refusals.append(Refusal(key, f"{key.kind} {key.name} was not removed: {answer.get('message', status)}"))
        return tuple(removed), tuple(refusals)

    async def _patch(self, path: str, document: Document, manager: str, *, force: bool) -> None:
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        status, answer = await self._ask("PATCH", path, document, "application/apply-patch+yaml", query)
        if status >= _BAD:
            raise ApplyError(str(answer.get("message", status)))

    async def _read(self, path: str, **query: str) -> Document | None:
        status, answer = await self._ask("GET", path, None, "application/json", query)
        if status == _NOT_FOUND:
            return None
        if status >= _BAD:
            raise ApplyError(f"{path} cannot be read: {answer.get('message', status)}")
        return answer

    async def _ask(
        self, method: str, path: str, body: Document | None, content: str, query: Mapping[str, str]
    ) -> tuple[int, Document]:
        data = None if body is None else json.dumps(body)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._session.request(
                method, path, data=data, headers={"Content-Type": content}, params=query, timeout=timeout
            ) as reply:
                text = await reply.text()
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise ApplyError(f"the API server did not answer: {str(error) or 'no answer in time'}") from error
        return reply.status, _document(text)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"message": text.strip()}
    return found if isinstance(found, dict) else {"message": text.strip()}


def _identity(document: Document) -> Document:
    return {"apiVersion": document["apiVersion"], "kind": document["kind"]}


def _path(namespace: str, key: Which) -> str:
    """Relative to the API server, which may itself stand below a path. Without a name, all objects of a kind."""
    root = "apis" if "/" in key.api_version else "api"
    collection = f"{root}/{key.api_version}/namespaces/{namespace}/{_PLURALS[key.kind]}"
    return f"{collection}/{key.name}" if key.name else collection
