"""How what came back differs from what a row of a request table expects, as sentences; pure."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from northgate.ops.echo import UPSTREAM_HEADER
from northgate.ops.exchange import Outcome, Reply
from northgate.ops.table import Count, Expect, ExpectLine, is_pattern

_SHOWN = 300

Wanted = str | tuple[str, ...] | None


def differences(expect: Expect, reply: Reply) -> tuple[str, ...]:
    """Compare one answer with what each answer must be; empty when it is right."""
    if reply.outcome is not expect.outcome:
        free = expect.shares and "outcome" not in expect.model_fields_set
        return () if free else (f"expected outcome {expect.outcome}, got {ending(reply)}",)
    told = echoed(reply)
    return tuple(
        text
        for text in (
            _equal("status", expect.status, reply.status),
            *(_header(f"header {name}", wanted, reply.header(name)) for name, wanted in expect.headers.items()),
            _text("body", expect.body, decoded(reply)),
            _equal("upstream", expect.upstream, upstream_of(reply)),
            _equal("path at the upstream", expect.path, told.get("path")),
            *(_header(f"upstream saw {name}", wanted, _seen(told, name)) for name, wanted in expect.sees.items()),
            _equal("SNI at the upstream", expect.sni, (told.get("tls") or {}).get("sni")),
            _between(expect.seconds, reply.seconds),
        )
        if text
    )


def line_differences(expect: ExpectLine, reply: Reply) -> tuple[str, ...]:
    """Compare the first line of a TCP connection (the reply's body) with what it must be."""
    if reply.outcome is not expect.outcome:
        free = expect.shares and "outcome" not in expect.model_fields_set
        return () if free else (f"expected outcome {expect.outcome}, got {ending(reply)}",)
    found = _text("line", expect.line, reply.body.decode("utf-8", "replace"))
    return (found,) if found else ()


def share_differences(shares: Mapping[str, Count], labels: Sequence[str]) -> tuple[str, ...]:
    """Count labels against the expected bounds; a label that no share names is a difference too."""
    counted = Counter(labels)
    beyond = [f"{count} x {label}, which no share names" for label, count in counted.items() if label not in shares]
    outside = [
        f"share {label}: expected {low} to {high}, got {counted[label]}"
        for label, (low, high) in shares.items()
        if not low <= counted[label] <= high
    ]
    return (*outside, *beyond) if shares else ()


def sticky_differences(labels: Sequence[str]) -> tuple[str, ...]:
    """Tell when repeats that had to stay together went to several places."""
    places = Counter(labels)
    return (f"expected one upstream for all, got {dict(places)}",) if len(places) > 1 else ()


def label_of(reply: Reply) -> str:
    """Name what answered: the upstream, else the status the proxy gave, else how the request ended."""
    if reply.outcome is not Outcome.ANSWERED:
        return str(reply.outcome)
    return upstream_of(reply) or str(reply.status)


def upstream_of(reply: Reply) -> str | None:
    """Name the upstream that answered; None when the proxy answered by itself."""
    return next(iter(reply.header(UPSTREAM_HEADER)), None) or echoed(reply).get("upstream")


def echoed(reply: Reply) -> Mapping[str, Any]:
    """Read what an echo upstream told of the request; empty for any other answer."""
    try:
        told = json.loads(decoded(reply))
    except ValueError:
        return {}
    return told if isinstance(told, dict) and "upstream" in told else {}


def decoded(reply: Reply) -> str:
    """Read the body as text, unpacked if it was sent with gzip."""
    body = reply.body
    if reply.header("content-encoding")[-1:] == ("gzip",):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            return f"<broken gzip: {error}>"
    return body.decode("utf-8", "replace")


def ending(reply: Reply) -> str:
    """Say how a request ended, with its status or detail."""
    more = str(reply.status) if reply.status else reply.detail
    return f"{reply.outcome} ({more})" if more else str(reply.outcome)


def _seen(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(told.get("headers", {}).get(name.lower(), ()))


def _equal(what: str, wanted: int | str | None, got: int | str | None) -> str | None:
    return None if wanted is None or wanted == got else f"expected {what} {wanted!r}, got {got!r}"


def _between(bounds: tuple[float, float] | None, seconds: float) -> str | None:
    low, high = bounds or (0.0, math.inf)
    return None if low <= seconds <= high else f"expected {low:g} to {high:g} seconds, got {seconds:.3f}"


def _text(what: str, wanted: str | None, got: str) -> str | None:
    if wanted is None:
        return None
    if re.search(wanted[1:-1], got) if is_pattern(wanted) else wanted == got:
        return None
    return f"expected {what} {wanted!r}, got {got[:_SHOWN]!r}"


def _header(what: str, wanted: Wanted, got: tuple[str, ...]) -> str | None:
    """None: absent. A text: one of the values. A list: exactly these values."""
    match wanted:
        case None:
            right = not got
        case str():
            right = any(_text(what, wanted, value) is None for value in got)
        case tuple():
            right = wanted == got
    return None if right else f"expected {what} {'absent' if wanted is None else repr(wanted)}, got {_listed(got)}"


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(map(repr, values)) if values else "none"
