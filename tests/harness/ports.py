"""Which ports are free: numbers the kernel gave, held until the test ends."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class HeldPorts:
    """Free TCP ports on 127.0.0.1, each held by a bound socket that never listens.

    Another process, a parallel test or an outgoing connection gets none of them. Whoever binds with SO_REUSEPORT
    (Envoy's listeners, grpc) can listen on a held port; anybody else needs `release` first.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self) -> int:
        """Hold one more port."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
        self._sockets[port] = held
        return port

    def release(self, port: int) -> None:
        """Let go of a port, for a server that binds without SO_REUSEPORT."""
        self._sockets.pop(port).close()

    def close(self) -> None:
        """Let go of all."""
        for port in tuple(self._sockets):
            self.release(port)
