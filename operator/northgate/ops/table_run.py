"""How a request table is executed against a running edge, row after row."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from northgate.ops.echo import MARK_HEADER, EchoUpstream
from northgate.ops.exchange import Address, ClientTls, Outcome, Reply, Request, Target, end
from northgate.ops.requests import Client, open_stream
from northgate.ops.table import HttpRow, Row, Table, TcpRow
from northgate.ops.verdict import differences, label_of, line_differences, share_differences, sticky_differences


@dataclass(frozen=True, slots=True)
class Place:
    """The edge a table is run against.

    `addresses` says where each listener port really is, `ca` who signs its certificates, `certificates` the client
    certificates rows may name (chain and key as PEM files). `upstreams` are asked about mirrored copies.
    `seconds` bounds each request.
    """

    addresses: Mapping[int, Address]
    ca: Path | None = None
    certificates: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    upstreams: Mapping[str, EchoUpstream] = field(default_factory=dict)
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a row gave: passed when there is no complaint."""

    row: Row
    complaints: tuple[str, ...]
    replies: tuple[Reply, ...] = field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.complaints

    @property
    def message(self) -> str:
        """One line for a passed row, one more per complaint for a failed one."""
        verdict = "passed" if self.passed else "FAILED"
        return "\n".join((f"{verdict}: {self.row.title}", *(f"    {complaint}" for complaint in self.complaints)))


async def run_table(table: Table, place: Place) -> AsyncIterator[Result]:
    """Execute the rows in order; requests of one run share a mark, so that counters at upstreams begin anew."""
    run = secrets.token_hex(4)
    for number, row in enumerate(table.rows, 1):
        yield await run_row(row, place, mark=f"{run}.{number}")


async def run_row(row: Row, place: Place, mark: str = "") -> Result:
    """Execute one row on connections of its own."""
    if row.port not in place.addresses:
        known = ", ".join(map(str, sorted(place.addresses))) or "none"
        return Result(row, (f"no listener on port {row.port} is known (known: {known})",))
    match row:
        case HttpRow():
            return await _run_http(row, place, mark or secrets.token_hex(4))
        case TcpRow():
            return await _run_tcp(row, place)


async def _run_http(row: HttpRow, place: Place, mark: str) -> Result:
    if row.certificate is not None and row.certificate not in place.certificates:
        return Result(row, (f"no client certificate is called {row.certificate!r}",))
    target = _target(row, place)
    async with Client(place.seconds) as client:
        send = _sticky if row.sticky else _independent
        replies = await send(client, target, row, mark)
    labels = [label_of(reply) for reply in replies]
    complaints = (
        *_first_of_each(tuple(differences(row.expect, reply) for reply in replies)),
        *share_differences(row.expect.shares, labels),
        *(sticky_differences(labels) if row.sticky else ()),
        *await _shadow_missing(row, place, mark),
    )
    return Result(row, complaints, replies)


async def _independent(client: Client, target: Target, row: HttpRow, mark: str) -> tuple[Reply, ...]:
    gate = asyncio.Semaphore(row.parallel)

    async def one(number: int) -> Reply:
        async with gate:
            return await client.send(target, _request(row, f"{mark}-{number}"), keep=row.keep)

    return tuple(await asyncio.gather(*(one(number) for number in range(row.times))))


async def _sticky(client: Client, target: Target, row: HttpRow, mark: str) -> tuple[Reply, ...]:
    """Send one after the other, each with the cookies of the answers before."""
    cookies: dict[str, str] = {}
    replies: list[Reply] = []
    for number in range(row.times):
        request = _request(row, f"{mark}-{number}")
        if cookies:
            cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
            request = replace(request, headers=(*request.headers, ("cookie", cookie)))
        replies.append(await client.send(target, request, keep=row.keep))
        cookies.update(_cookies(replies[-1]))
    return tuple(replies)


def _cookies(reply: Reply) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for value in reply.header("set-cookie"):
        try:
            jar.load(value)
        except CookieError:
            continue
    return {name: morsel.coded_value for name, morsel in jar.items()}


def _target(row: HttpRow, place: Place) -> Target:
    certificate = place.certificates[row.certificate] if row.certificate else None
    tls = ClientTls(row.hostname, place.ca, certificate) if row.secure else None
    return Target(place.addresses[row.port], tls, row.http)


def _request(row: HttpRow, mark: str) -> Request:
    given = [
        (name, value)
        for name, values in row.headers.items()
        for value in ((values,) if isinstance(values, str) else values)
    ]
    host = next((value for name, value in given if name.lower() == "host"), row.host)
    return Request(row.method, row.target, host, ((MARK_HEADER, mark), *given), row.body.encode())


async def _shadow_missing(row: HttpRow, place: Place, mark: str) -> tuple[str, ...]:
    wanted = row.expect.shadowed
    if wanted is None:
        return ()
    if wanted not in place.upstreams:
        return (f"upstream {wanted!r} cannot be asked what it saw",)
    seen = await place.upstreams[wanted].saw(lambda seen: seen.mark.startswith(f"{mark}-"), place.seconds)
    return () if seen else (f"expected a copy of the request at {wanted}, which saw none",)


async def _run_tcp(row: TcpRow, place: Place) -> Result:
    tls = ClientTls(row.hostname, place.ca) if row.tls else None
    target = Target(place.addresses[row.port], tls)
    replies = tuple([await _first_line(target, row.send.encode(), place.seconds) for _ in range(row.times)])
    labels = [reply.body.decode("utf-8", "replace") or str(reply.outcome) for reply in replies]
    each = tuple(line_differences(row.expect, reply) for reply in replies)
    return Result(row, (*_first_of_each(each), *share_differences(row.expect.shares, labels)), replies)


async def _first_line(target: Target, text: bytes, seconds: float) -> Reply:
    try:
        async with asyncio.timeout(seconds):
            opened = await open_stream(target)
            if isinstance(opened, Reply):
                return opened
            return await _read_line(*opened, text)
    except TimeoutError:
        return Reply(Outcome.TIMEOUT, detail=f"no line within {seconds:g} s")


async def _read_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> Reply:
    try:
        writer.write(text)
        line = await reader.readline()
    except (OSError, ssl.SSLError) as error:
        return Reply(Outcome.RESET, detail=str(error))
    except ValueError as error:
        return Reply(Outcome.GARBLED, detail=str(error))
    finally:
        await end(writer)
    return Reply(Outcome.ANSWERED if line else Outcome.CLOSED, body=line.rstrip(b"\r\n"))


def _first_of_each(found: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Say each distinct complaint once, with how many of the repeats it concerns."""
    counted: dict[str, int] = {}
    for text in (text for complaints in found for text in complaints):
        counted[text] = counted.get(text, 0) + 1
    several = len(found) > 1
    return tuple(f"{text} ({count} of {len(found)})" if several else text for text, count in counted.items())
