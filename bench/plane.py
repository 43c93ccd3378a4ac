"""The control plane under measurement, as a process: messages on its input are changes, as a source would tell them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from northgate.control import ControlPlane
from northgate.translate.listeners import Binding
from northgate.world.key import ObjectKey

_LINE = 1 << 30


async def main(port: int, xds: str) -> None:
    """Serve until the input ends. `port` is where the gateway's listener is bound."""
    plane = ControlPlane(Binding("127.0.0.1", {80: port}))
    _say({"xds": await plane.start(xds)})
    reader = asyncio.StreamReader(_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        begin = time.perf_counter()
        message = json.loads(line)
        take(plane, message)
        if message.get("answer"):
            _say({"take_s": time.perf_counter() - begin})
    await plane.stop(0.1)


def take(plane: ControlPlane, message: dict[str, Any]) -> None:
    """Take in what a message says."""
    plane.take(
        ((ObjectKey(*parts), document) for *parts, document in _objects(message)),
        [ObjectKey(*parts) for parts in message.get("removed", ())],
    )


def _objects(message: dict[str, Any]) -> Iterator[list[Any]]:
    """The objects of a message, or of the lines of a file: one at a time, as they come from a source in volume."""
    yield from message.get("put", ())
    if "file" in message:
        with Path(message["file"]).open("rb") as lines:
            yield from map(msgspec.json.decode, lines)


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
