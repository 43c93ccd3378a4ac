"""What a tiny origin answers: itself, what it saw, and the misbehaviour the query asked for.

The wire is elsewhere (`echo_server`), so the same answers come over HTTP/1.1, TLS and HTTP/2. Controls in the query:

| control | effect |
|---|---|
| `status=503` | that status |
| `delay=200ms` | answers so much later (`ms` or `s`) |
| `body=N` | N bytes of `x` instead of JSON |
| `header=name:value` | one more response header; repeatable |
| `fail_first=N`, `key=K` | 503 to the first N requests of one table run with that key |
| `fail_at=NAME` | 503 at the upstream of that name only |
| `drop=close`, `drop=reset` | no answer: the connection is closed (FIN) or reset (RST) |

`/healthz` answers 200 or, when switched unhealthy, 503; it counts as a health check and not as a request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

UPSTREAM_HEADER = "x-echo-upstream"
"""Response header: the name of the upstream that answered, also when the body is not JSON."""

MARK_HEADER = "x-request-table"
"""Request header `<run>.<request>`: scopes `fail_first` to one run and lets a mirrored copy be recognised."""

Drop = Literal["", "close", "reset"]

_MAX_BODY = 64 << 20
_KEEP = 2000
_BODILESS = frozenset({204, 304})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")


@dataclass(frozen=True, slots=True)
class SeenTls:
    """The TLS of a connection as the upstream saw it."""

    sni: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the upstream saw it: raw path with query, lower-case header names, values in order."""

    method: str
    path: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes = b""
    http: str = "1.1"
    tls: SeenTls | None = None

    @property
    def mark(self) -> str:
        """The value of `x-request-table`, or an empty string."""
        return next(iter(self.headers.get(MARK_HEADER, ())), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, `delay` seconds after the request is complete; with `drop`, nothing but the drop."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    drop: Drop = ""


@dataclass(frozen=True, slots=True)
class _Controls:
    status: int = 200
    delay: float = 0.0
    body: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    fail_first: int = 0
    key: str = ""
    fail_at: str = ""
    drop: Drop = ""


class EchoUpstream:
    """One named origin: its health, its counters, and the last 2,000 requests it saw."""

    def __init__(self, name: str) -> None:
        """Start healthy, having seen nothing."""
        self.name = name
        self.healthy = True
        self.requests = 0
        self.health_checks = 0
        self.recent: deque[Seen] = deque(maxlen=_KEEP)
        self._failed: Counter[tuple[str, str]] = Counter()
        self._awaited: list[_Awaited] = []

    def answer(self, seen: Seen) -> Answer:
        """Remember the request and decide the answer; a control that cannot be read is answered 400."""
        path, _, query = seen.path.partition("?")
        if path == "/healthz":
            self.health_checks += 1
            return self._plain(200 if self.healthy else 503, f"{self.name}: {'' if self.healthy else 'un'}healthy\n")
        self._remember(seen)
        try:
            controls = _controls(query)
        except ValueError as error:
            return self._plain(400, f"{self.name}: {error}\n")
        return self._controlled(seen, controls)

    async def saw(self, wanted: Callable[[Seen], bool], seconds: float = 5.0) -> Seen | None:
        """Return the first remembered or coming request that is `wanted`; None when none came within `seconds`."""
        for seen in self.recent:
            if wanted(seen):
                return seen
        awaited = _Awaited(wanted)
        self._awaited.append(awaited)
        try:
            return await asyncio.wait_for(awaited.seen, seconds)
        except TimeoutError:
            return None
        finally:
            self._awaited.remove(awaited)

    def _remember(self, seen: Seen) -> None:
        self.requests += 1
        self.recent.append(seen)
        for awaited in self._awaited:
            if not awaited.seen.done() and awaited.wanted(seen):
                awaited.seen.set_result(seen)

    def _controlled(self, seen: Seen, controls: _Controls) -> Answer:
        status = 503 if self._fails(seen, controls) else controls.status
        body = self._told(seen) if controls.body is None else b"x" * controls.body
        kind = "application/json" if controls.body is None else "application/octet-stream"
        headers = (("content-type", kind), (UPSTREAM_HEADER, self.name), *controls.headers)
        return Answer(status, headers, b"" if status in _BODILESS else body, controls.delay, controls.drop)

    def _fails(self, seen: Seen, controls: _Controls) -> bool:
        if controls.fail_at == self.name:
            return True
        key = (seen.mark.partition(".")[0], controls.key)
        if self._failed[key] >= controls.fail_first:
            return False
        self._failed[key] += 1
        return True

    def _told(self, seen: Seen) -> bytes:
        told = {
            "upstream": self.name,
            "method": seen.method,
            "path": seen.path,
            "headers": seen.headers,
            "body": seen.body.decode("utf-8", "replace"),
            "http": seen.http,
            "tls": None if seen.tls is None else {"sni": seen.tls.sni, "version": seen.tls.version},
        }
        return json.dumps(told, indent=1).encode() + b"\n"

    def _plain(self, status: int, text: str) -> Answer:
        return Answer(status, (("content-type", "text/plain"), (UPSTREAM_HEADER, self.name)), text.encode())


@dataclass(slots=True, eq=False)
class _Awaited:
    wanted: Callable[[Seen], bool]
    seen: asyncio.Future[Seen] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def headers_of(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Lower-case multi-map of header pairs; the values of one name keep their order."""
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        headers[name.lower()] = (*headers.get(name.lower(), ()), value)
    return headers


def _controls(query: str) -> _Controls:
    """Read the controls of a query; ValueError names the one that cannot be read."""
    asked = parse_qs(query, keep_blank_values=True)
    last = {name: values[-1] for name, values in asked.items()}
    return _Controls(
        status=_whole(last, "status", 200, range(200, 600)),
        delay=_seconds(last.get("delay", "0s")),
        body=_whole(last, "body", 0, range(_MAX_BODY + 1)) if "body" in last else None,
        headers=tuple(map(_header, asked.get("header", ()))),
        fail_first=_whole(last, "fail_first", 0, range(1_000_000)),
        key=last.get("key", ""),
        fail_at=last.get("fail_at", ""),
        drop=_drop(last.get("drop", "")),
    )


def _whole(asked: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    text = asked.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        raise ValueError(f"{name}={text!r} is not a number from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"delay={text!r} is not a duration such as 200ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!-9;-~]+", name) or not value.isprintable():
        raise ValueError(f"header={text!r} is not name:value")
    return name, value.strip()


def _drop(text: str) -> Drop:
    match text:
        case "" | "close" | "reset":
            return text
        case _:
            raise ValueError(f"drop={text!r} is neither close nor reset")
