"""When is a change seen? One kept connection that asks again every millisecond, with nothing but a socket between."""

from __future__ import annotations

import socket
import time
from collections import Counter
from dataclasses import dataclass, field

from bench.processes import BenchError
from bench.worlds import TAG

_EVERY = 0.001
_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: status, tag, upstream, and how many seconds it took."""

    status: int
    tag: str
    upstream: str
    seconds: float


@dataclass(slots=True)
class Wait:
    """A wait for an answer: how long it took from `begin`, and what came before it."""

    seconds: float
    before: Counter[int] = field(default_factory=Counter)


class Probe:
    """Requests to one address of 127.0.0.1 over one kept connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, host: str) -> Seen:
        """One request; OSError when there is no connection."""
        begin = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 5)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = self._head().decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        self._body(int(fields.get("content-length", "0")))
        status = int(head[0].split(" ", 2)[1])
        return Seen(status, fields.get(TAG, ""), fields.get("x-upstream", ""), time.perf_counter() - begin)

    def until(self, host: str, status: int, tag: str = "", upstream: str = "", begin: float | None = None) -> Wait:
        """Ask until that answer comes; BenchError after half a minute."""
        start = time.perf_counter() if begin is None else begin
        wait = Wait(0.0)
        while (now := time.perf_counter()) - start < 30:
            seen = self.ask(host)
            if seen.status == status and tag in ("", seen.tag) and upstream in ("", seen.upstream):
                wait.seconds = time.perf_counter() - start
                return wait
            wait.before[seen.status] += 1
            time.sleep(max(0.0, now + _EVERY - time.perf_counter()))
        raise BenchError(f"{host} did not answer {status} {tag} {upstream} but {dict(wait.before)}")

    def _head(self) -> bytes:
        while _HEAD not in self._rest:
            self._rest += self._read()
        head, self._rest = self._rest.split(_HEAD, 1)
        return head

    def _body(self, length: int) -> None:
        while len(self._rest) < length:
            self._rest += self._read()
        self._rest = self._rest[length:]

    def _read(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            self.close()
            raise ConnectionResetError("the proxy ended the connection")
        return data
