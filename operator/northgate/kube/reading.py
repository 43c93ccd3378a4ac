"""What does the API server say? Pages of lists, single objects and streams of changes, or why it says nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp
import msgspec

from northgate.kube.access import AccessError
from northgate.kube.kinds import Kind, Served
from northgate.kube.pace import Pace
from northgate.world.key import ObjectKey

_LONGEST_LINE = 16 << 20
_LONGEST_MESSAGE = 300
_CONNECT = 10.0
_NOT_FOUND = 404
_GONE = 410
_MAX_OK = 299


class Reason(StrEnum):
    """Why a kind cannot be read."""

    FORBIDDEN = "Forbidden"
    UNAUTHORIZED = "Unauthorized"
    MISSING = "Missing"
    BUSY = "Busy"
    SERVER_ERROR = "ServerError"
    UNREACHABLE = "Unreachable"
    TIMEOUT = "Timeout"
    MALFORMED = "Malformed"
    CREDENTIALS = "Credentials"


_REASONS = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN, 404: Reason.MISSING, 429: Reason.BUSY}
_REMEDIES = {
    Reason.UNAUTHORIZED: "renew the token or certificate",
    Reason.FORBIDDEN: "grant get, list and watch on it",
    Reason.MISSING: "install its CustomResourceDefinition",
}


class UnreachableError(Exception):
    """The API server gives no answer about a kind. Nothing follows about its objects.

    `asked` is how many seconds it wants to be left alone, 0 if it did not say.
    """

    def __init__(self, reason: Reason, message: str, asked: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.asked = asked


class AbsentError(UnreachableError):
    """There is no object of the name that was asked for."""


class ExpiredError(Exception):
    """The API server no longer knows the version that was asked for: list anew."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as the API server gave it: its key and version, and its content once `load` is called."""

    key: ObjectKey
    version: str
    load: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list. `version` is the whole list's, `rest` where the next page begins, empty on the last."""

    seen: tuple[Seen, ...]
    version: str
    rest: str


@dataclass(frozen=True, slots=True)
class Change:
    """An object that is there or `gone`."""

    seen: Seen
    gone: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Changes that came together, and the version that is reached with them."""

    changes: tuple[Change, ...]
    version: str


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Head(msgspec.Struct, rename="camel"):
    metadata: _Meta


class _ListMeta(msgspec.Struct, rename={"rest": "continue", "resource_version": "resourceVersion"}):
    resource_version: str
    rest: str = ""


class _List(msgspec.Struct, rename="camel"):
    kind: str
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, rename="camel"):
    type: str
    object: msgspec.Raw


class _Details(msgspec.Struct, rename="camel"):
    name: str = ""


class _Status(msgspec.Struct, rename="camel"):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_LISTS = msgspec.json.Decoder(_List)
_HEADS = msgspec.json.Decoder(_Head)
_EVENTS = msgspec.json.Decoder(_Event)
_STATUSES = msgspec.json.Decoder(_Status)


class Reader:
    """Reads one kind, in one place, under one version of the API. Raises UnreachableError and ExpiredError alone."""

    def __init__(self, session: aiohttp.ClientSession, kind: Kind, place: str, pace: Pace) -> None:
        self._session = session
        self.kind = kind
        self.place = place
        self._pace = pace

    async def pages(self, served: Served, size: int) -> AsyncGenerator[Page]:
        """The kind's objects of one moment; `size` 0 for a single page."""
        query = {"fieldSelector": self.kind.fields} if self.kind.fields else {}
        rest = ""
        while True:
            more = {**query, **({"limit": str(size)} if size else {}), **({"continue": rest} if rest else {})}
            body = await self._body(self.kind.path(served, self.place), more)
            page = self._page(served, body)
            yield page
            if not page.rest:
                return
            rest = page.rest

    async def one(self, served: Served, namespace: str, name: str) -> Seen | None:
        """One object, None if there is none of this name."""
        try:
            body = await self._body(self.kind.path(served, namespace, name), {})
        except AbsentError:
            return None
        with self._decoding():
            return self._seen(served, msgspec.Raw(body))

    async def watch(self, served: Served, version: str, seconds: float) -> AsyncGenerator[Progress]:
        """What changes after a version, until the server ends the stream, at the latest after `seconds`."""
        query = {
            **({"fieldSelector": self.kind.fields} if self.kind.fields else {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=self._pace.silence)
        async with self._asked(self.kind.path(served, self.place), query, limits) as answer:
            yield Progress((), version)
            async for lines in split_lines(answer.content.iter_any()):
                with self._decoding():
                    yield self._progress(served, lines)

    async def _body(self, path: str, query: dict[str, str]) -> bytes:
        limits = aiohttp.ClientTimeout(total=self._pace.answer, sock_connect=_CONNECT)
        async with self._asked(path, query, limits) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _asked(
        self, path: str, query: dict[str, str], limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.get(path, params=query, timeout=limits) as answer:
                if answer.status > _MAX_OK:
                    raise _refusal(answer, await answer.read(), self._what())
                yield answer
        except AccessError as error:
            raise UnreachableError(Reason.CREDENTIALS, str(error)) from None
        except TimeoutError:
            raise UnreachableError(Reason.TIMEOUT, f"the API server is silent about {self._what()}") from None
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            said = f"the connection for {self._what()} failed: {str(error)[:_LONGEST_MESSAGE] or type(error).__name__}"
            raise UnreachableError(Reason.UNREACHABLE, said) from None

    def _what(self) -> str:
        return f"{self.kind.plural} in {self.place}" if self.place else self.kind.plural

    def _page(self, served: Served, body: bytes) -> Page:
        with self._decoding():
            found = _LISTS.decode(body)
            if not found.kind.endswith("List") or not found.metadata.resource_version:
                raise msgspec.ValidationError("this is no list")
            seen = tuple(self._seen(served, item) for item in found.items or ())
            return Page(seen, found.metadata.resource_version, found.metadata.rest)

    def _progress(self, served: Served, lines: list[bytes]) -> Progress:
        changes, version = [], ""
        for line in lines:
            event = _EVENTS.decode(line)
            if event.type == "ERROR":
                raise _failure(_STATUSES.decode(event.object), self._what())
            if event.type == "BOOKMARK":
                version = _HEADS.decode(event.object).metadata.resource_version
                continue
            seen = self._seen(served, event.object)
            version = seen.version
            changes.append(Change(seen, event.type == "DELETED"))
        return Progress(tuple(changes), version)

    def _seen(self, served: Served, raw: msgspec.Raw) -> Seen:
        meta = _HEADS.decode(raw).metadata
        if not meta.name or not meta.resource_version:
            raise msgspec.ValidationError("an object has no name or version")
        return Seen(
            self.kind.key(served.group, meta.namespace, meta.name),
            meta.resource_version,
            lambda: self._content(served, raw),
        )

    def _content(self, served: Served, raw: msgspec.Raw) -> dict[str, Any]:
        return {**msgspec.json.decode(raw), "apiVersion": served.api_version, "kind": self.kind.name}

    def _decoding(self) -> _Decoding:
        return _Decoding(self._what())


@dataclass(frozen=True, slots=True)
class _Decoding:
    """Whatever comes that is not what an API server says becomes UnreachableError."""

    what: str

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, msgspec.MsgspecError | UnicodeDecodeError):
            # The message of the decoder could repeat content.
            said = f"the answer about {self.what} is not one of an API server; look at what stands before it"
            raise UnreachableError(Reason.MALFORMED, said) from None


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The whole lines in each piece of a stream; what has no end is dropped, and a line beyond bounds refused."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise UnreachableError(Reason.MALFORMED, f"a line of the stream is longer than {_LONGEST_LINE} bytes")
        if whole := [line for line in lines if line.strip()]:
            yield whole


def _refusal(answer: aiohttp.ClientResponse, body: bytes, what: str) -> Exception:
    """What a status that is not 200 means."""
    try:
        status = _STATUSES.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = _Status()
    if answer.status == _GONE:
        return ExpiredError(status.message[:_LONGEST_MESSAGE])
    text = status.message[:_LONGEST_MESSAGE] or f"the API server answers {answer.status} for {what}"
    # Only a Status that names the object says that the object is missing; else its kind is.
    if answer.status == _NOT_FOUND and status.details is not None and status.details.name:
        return AbsentError(Reason.MISSING, text)
    return _unreachable(answer.status, text, _seconds(answer.headers.get("Retry-After", "")))


def _failure(status: _Status, what: str) -> Exception:
    """What an ERROR in a stream means."""
    if status.code == _GONE or status.reason in {"Expired", "Gone"}:
        return ExpiredError(status.message[:_LONGEST_MESSAGE])
    return _unreachable(status.code, status.message[:_LONGEST_MESSAGE] or f"an error about {what}", 0.0)


def _unreachable(code: int, text: str, asked: float) -> UnreachableError:
    reason = _REASONS.get(code, Reason.SERVER_ERROR)
    remedy = f"; {_REMEDIES[reason]}" if reason in _REMEDIES else ""
    return UnreachableError(reason, text + remedy, asked)


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdigit() else 0.0


async def sleep_or(bell: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until the bell rings, which is then quiet again; True when it rang."""
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return False
    bell.clear()
    return True
