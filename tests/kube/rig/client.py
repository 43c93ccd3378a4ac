"""How do tests read and write objects? By plain HTTP, a few milliseconds a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from tests.harness.facts import wait_for
from tests.kube.rig.authority import Authority

Document = dict[str, Any]
PATCHES = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class ApiError(Exception):
    """The API server refused; `status` is HTTP's, `document` the Status object with its causes."""

    def __init__(self, status: int, document: Document) -> None:
        super().__init__(f"{status} {document.get('reason', '')}: {document.get('message', document)}")
        self.status = status
        self.document = document

    @property
    def causes(self) -> tuple[tuple[str, str], ...]:
        """Field path and message of each complaint."""
        causes = (self.document.get("details") or {}).get("causes") or ()
        return tuple((cause.get("field", ""), cause.get("message", "")) for cause in causes)


@dataclass(frozen=True, slots=True)
class Key:
    """Which object: `Key("northgate.dev/v1alpha1", "Route", "shop", "demo")`; no namespace where the kind has none."""

    api_version: str
    kind: str
    name: str = ""
    namespace: str = ""


Which = Key | Mapping[str, Any]
"""A key, or a document that has one."""


def key(which: Which) -> Key:
    """The key of a document."""
    if isinstance(which, Key):
        return which
    metadata = which.get("metadata", {})
    return Key(which["apiVersion"], which["kind"], metadata.get("name", ""), metadata.get("namespace", ""))


class Kube:
    """A client with one user's token. Every method raises ApiError when the server refuses."""

    def __init__(self, url: str, authority: Authority, token: str) -> None:
        self.url = url
        self._tls = authority.client_tls()
        self._headers = {"Authorization": f"Bearer {token}"}
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=32)
        self.session = aiohttp.ClientSession(self.url, connector=connector, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def call(
        self, method: str, path: str, body: object = None, *, content: str = "application/json", **query: str
    ) -> Document:
        """One call by path; the answer's document."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content}
        async with self.session.request(method, path, data=data, headers=headers, params=query) as reply:
            text = await reply.text()
        try:
            document = json.loads(text)
        except ValueError:
            document = {"message": text}
        if reply.status >= 400:
            raise ApiError(reply.status, document)
        return dict(document)

    async def get(self, which: Which) -> Document:
        """One object."""
        return await self.call("GET", await self.path(which))

    async def find(self, which: Which) -> Document | None:
        """One object, None when it is not there."""
        try:
            return await self.get(which)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str = "", **query: str) -> list[Document]:
        """All objects of a kind, in one namespace or everywhere; `labelSelector` and the like as keywords."""
        found = await self.call("GET", await self.path(Key(api_version, kind, "", namespace)), **query)
        return [{"apiVersion": api_version, "kind": kind, **entry} for entry in found["items"]]

    async def create(self, document: Mapping[str, Any], **query: str) -> Document:
        """Create an object as written; `dryRun="All"` and the like as keywords. Unknown fields are refused."""
        which = key(document)
        path = await self.path(Key(which.api_version, which.kind, "", which.namespace))
        return await self.call("POST", path, document, **{"fieldValidation": "Strict", **query})

    async def apply(self, *documents: Mapping[str, Any], manager: str = "tests", **query: str) -> Document:
        """Server-side apply, one after the other; the last one's answer. Conflicts are forced."""
        answer: Document = {}
        for document in documents:
            asked = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict", **query}
            answer = await self.patch(document, document, form="apply", **asked)
        return answer

    async def patch(
        self, which: Which, patch: object, *, form: str = "merge", part: str = "", **query: str
    ) -> Document:
        """Patch an object, or a part of it such as `status`, in one of the forms of PATCHES."""
        path = await self.path(which)
        return await self.call("PATCH", f"{path}/{part}" if part else path, patch, content=PATCHES[form], **query)

    async def delete(self, which: Which, **query: str) -> None:
        """Delete an object; no error when it is not there."""
        try:
            await self.call("DELETE", await self.path(which), **query)
        except ApiError as error:
            if error.status != 404:
                raise

    async def until(
        self, which: Which, fact: Callable[[Document], object], what: str, deadline: float = 10.0
    ) -> Document:
        """Wait until an object is there and the fact holds of it; the object."""

        async def holds() -> Document | None:
            found = await self.find(which)
            return found if found is not None and fact(found) else None

        found = await wait_for(holds, f"{key(which)}: {what}", deadline)
        assert found is not None
        return found

    async def gone(self, which: Which, deadline: float = 10.0) -> None:
        """Wait until an object is not there any more."""

        async def absent() -> bool:
            return await self.find(which) is None

        await wait_for(absent, f"{key(which)} is gone", deadline)

    async def path(self, which: Which) -> str:
        """The path of an object, or of its collection when the key has no name."""
        asked = key(which)
        plural, namespaced = await self._resource(asked.api_version, asked.kind)
        parts = ["/apis" if "/" in asked.api_version else "/api", asked.api_version]
        parts += ["namespaces", asked.namespace] if namespaced and asked.namespace else []
        return "/".join([*parts, plural, *([asked.name] if asked.name else [])])

    async def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        if (api_version, kind) not in self._resources:
            root = "/apis" if "/" in api_version else "/api"
            listed = await self.call("GET", f"{root}/{api_version}")
            self._resources |= {
                (api_version, entry["kind"]): (entry["name"], entry["namespaced"])
                for entry in listed["resources"]
                if "/" not in entry["name"]
            }
        return self._resources[api_version, kind]


async def establish(client: Kube, *definitions: Mapping[str, Any]) -> None:
    """Apply the CRDs that are not there and wait until objects of their kinds can be written."""
    for definition in definitions:
        if await client.find(definition) is None:
            await client.apply(definition)
    for definition in definitions:
        await client.until(definition, lambda found: condition(found, "Established") == "True", "Established")


def condition(document: Mapping[str, Any], kind: str) -> str:
    """The status of one condition: `True`, `False`, `Unknown`, or nothing."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((str(entry["status"]) for entry in conditions if entry["type"] == kind), "")
