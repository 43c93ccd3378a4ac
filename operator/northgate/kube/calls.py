"""How is the API server asked for one thing? One call, one value: also a refusal, a silence or a torn answer is one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from northgate.kube.access import AccessError

Document = dict[str, Any]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
"""Content type of server-side apply; JSON is YAML."""

_OK, _FIRST_REFUSAL = 200, 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` is HTTP's, 0 when nothing came; then the call may have had its effect all the same.

    `document` is what the body says: the object, or a refusal's Status. `rest` is `Retry-After` in seconds, 0 for none.
    """

    status: int
    document: Document = field(default_factory=dict)
    rest: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return _OK <= self.status < _FIRST_REFUSAL

    @property
    def message(self) -> str:
        """Why not, in the server's words; empty when it gave none."""
        return str(self.document.get("message", ""))


class Api(Protocol):
    """Where calls go: a session to an API server, or a stand-in. `path` has no leading slash; nothing is raised."""

    async def request(self, method: str, path: str, body: object = None, content: str = JSON) -> Answer:
        """One call."""


class Calls:
    """Calls over a session of `Access`, each given up after `timeout` seconds."""

    def __init__(self, session: aiohttp.ClientSession, timeout: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def request(self, method: str, path: str, body: object = None, content: str = JSON) -> Answer:
        """One call."""
        data = None if body is None else json.dumps(body, separators=(",", ":"))
        headers = {"Content-Type": content}
        try:
            async with self._session.request(method, path, data=data, headers=headers, timeout=self._timeout) as reply:
                return Answer(reply.status, _document(await reply.read()), _rest(reply.headers.get("Retry-After", "")))
        except (aiohttp.ClientError, TimeoutError, OSError, AccessError) as error:
            return Answer(0, {"message": f"{type(error).__name__}: {error}".removesuffix(": ")})


def _document(body: bytes) -> Document:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _rest(said: str) -> float:
    """The header in seconds; its other form, a date, would take a clock that is set alike."""
    return float(said) if said.isascii() and said.isdigit() else 0.0
