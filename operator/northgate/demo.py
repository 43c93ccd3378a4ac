"""What does the demo show? The examples served by a real Envoy on this machine, checked, and changed meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from northgate.ops.exchange import Address, Reply, Request, Target
from northgate.ops.reading import read_sources
from northgate.ops.requests import Client
from northgate.ops.scenery import endpoint_slices, localised, make_pair, secret, upstreams
from northgate.ops.table import HttpRow, read_table
from northgate.ops.table_run import Place, Result, run_table
from northgate.run import Settings, Standalone

Say = Callable[[str], None]
_READY_WITHIN = 30.0
_LIVE_WITHIN = 5.0
_ROWS_EACH = 2
_LIVE = """\
apiVersion: northgate.dev/v1alpha1
kind: Route
metadata: {{name: live, namespace: demo}}
spec:
  parentRefs: [{{name: edge, namespace: edge}}]
  hostnames: [live.example.test]
  rules:
  - respond: {{status: 200, body: "{body}"}}
"""


class DemoError(Exception):
    """Something the demo shows did not come true; the text says what."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A demo under way: the folder that is served, the edge, and where its ports really are."""

    folder: Path
    edge: Standalone
    place: Place


async def run_demo(folder: Path | None, say: Say, *, once: bool, envoy_path: str | None = None) -> None:
    """Show the examples; with `once` prove a live edit and end, else serve until cancelled. DemoError if not so."""
    async with _stage(folder, envoy_path, copy=once or folder is None) as stage:
        await _wait_until_served(stage)
        results = [result async for result in _check(stage)]
        say(_table(results, stage.place))
        failed = [result for result in results if not result.passed]
        if failed:
            raise DemoError("; ".join(result.message for result in failed))
        if once:
            say(f"an edit was live after {1000 * await _prove_edit(stage):.0f} ms")
            return
        say(_invitation(stage))
        await asyncio.Event().wait()


@asynccontextmanager
async def _stage(folder: Path | None, envoy_path: str | None, *, copy: bool) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="northgate-demo-")))
        served = _examples() if folder is None else folder
        if copy:
            served = Path(await asyncio.to_thread(shutil.copytree, served, scratch / "examples"))
        pair = make_pair("*.example.test")
        origins = await stack.enter_async_context(upstreams(pair, scratch))
        ports = origins.ports()
        listeners = _free_ports(_listener_ports(served))
        settings = Settings(
            served,
            ports=listeners,
            xds="127.0.0.1:0",
            status="127.0.0.1:0",
            envoy=True,
            envoy_path=envoy_path,
            concurrency=1,
            drain=1.0,
        )
        edge = Standalone(settings, lambda document: localised(document.raw, ports))
        edge.plane.take([*endpoint_slices(ports), secret("edge", "example-tls", pair)], complete=False)
        authority = scratch / "ca.pem"
        authority.write_text(pair.authority)
        serving = asyncio.create_task(edge.run())
        stack.push_async_callback(_cancelled, serving)
        place = Place({port: ("127.0.0.1", bound) for port, bound in listeners.items()}, authority, upstreams=origins)
        yield Stage(served, edge, place)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _examples() -> Path:
    """The examples beside the source, or those installed with the product."""
    here = Path(__file__).parent
    for place in (here.parents[1] / "examples", here / "examples"):
        if place.is_dir():
            return place
    raise DemoError("the examples are not installed; name a folder of examples")


def _listener_ports(folder: Path) -> list[int]:
    gateways = read_sources([str(folder)]).edge.compiler.gateways.items()
    return sorted({listener.port for _, gateway in gateways for listener in gateway.listeners})


def _free_ports(wanted: Iterable[int]) -> Mapping[int, int]:
    held = {port: socket.create_server(("127.0.0.1", 0)) for port in wanted}
    found = {port: one.getsockname()[1] for port, one in held.items()}
    for one in held.values():
        one.close()
    return found


async def _wait_until_served(stage: Stage) -> None:
    plane = stage.edge.plane
    try:
        async with asyncio.timeout(_READY_WITHIN):
            await stage.edge.read.wait()
            for name in plane.gateways():
                await plane.synced(name)
    except TimeoutError:
        raise DemoError(
            f"Envoy did not confirm the examples within {_READY_WITHIN:.0f} s: {stage.edge.report()}"
        ) from None


async def _check(stage: Stage) -> AsyncIterator[Result]:
    """The first rows of each example's table; later ones may count on those before them."""
    for file in sorted(stage.folder.glob("*.yaml")):
        table = read_table(await asyncio.to_thread(file.read_text), file.name)
        first = replace(table, rows=tuple(row for row in table.rows if isinstance(row, HttpRow))[:_ROWS_EACH])
        results = [result async for result in run_table(first, stage.place)]
        if not all(result.passed for result in results):
            # Rows that count or time many requests may fail on a busy machine; what is wrong fails again.
            results = [result async for result in run_table(first, stage.place)]
        for result in results:
            yield result


def _table(results: Iterable[Result], place: Place) -> str:
    lines = [f"{'STATUS':11}{'REQUEST':60}AT"]
    for result in results:
        row = result.row
        assert isinstance(row, HttpRow)  # noqa: S101 - only such rows are checked
        outcome = _outcome(result.replies[0]) if result.replies else "-"
        mark = "" if result.passed else "  ✗ not as expected"
        lines.append(f"{outcome:11}{row.title[:58]:60}{_where(place.addresses[row.port])}{mark}")
    return "\n".join(lines)


def _where(address: Address) -> str:
    return str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"


def _outcome(reply: Reply) -> str:
    return str(reply.status) if reply.status else str(reply.outcome)


def _invitation(stage: Stage) -> str:
    port = stage.place.addresses[80]
    assert not isinstance(port, Path)  # noqa: S101 - the demo's listeners have ports
    return (
        f"\nedit a file in {stage.folder} and ask again, for instance\n"
        f"  curl -i -H 'Host: headers.example.test' http://127.0.0.1:{port[1]}/\n"
        f"see how everything stands\n"
        f"  northgate status --server {stage.edge.status_address}\n"
        f"Ctrl-C stops it."
    )


async def _prove_edit(stage: Stage) -> float:
    """Add a Route, change it, and measure how long the change takes to be answered, in seconds."""
    file = stage.folder / "live.yaml"
    await asyncio.to_thread(file.write_text, _LIVE.format(body="before"))
    await _answers(stage, "before")
    await asyncio.to_thread(file.write_text, _LIVE.format(body="after"))
    return await _answers(stage, "after")


async def _answers(stage: Stage, body: str) -> float:
    begun = time.monotonic()
    target = Target(stage.place.addresses[80])
    async with Client() as client:
        while time.monotonic() - begun < _LIVE_WITHIN:
            reply = await client.send(target, Request("GET", "/", "live.example.test"))
            if reply.body == body.encode():
                return time.monotonic() - begun
            await asyncio.sleep(0.005)
    raise DemoError(f"an edit of {stage.folder / 'live.yaml'} was not live within {_LIVE_WITHIN:.0f} s")
