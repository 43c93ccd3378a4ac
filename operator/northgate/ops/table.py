r"""What a request table says: requests and what must come back, written in the comment header of an example.

After a line `# requests:` the following comment lines, without their `# `, are one YAML list, up to the first line
that is no comment:

    # requests:
    # - get: http://shop.example.test/api?status=404
    #   headers: {x-tenant: a}
    #   expect: {status: 404, upstream: echo-a, headers: {server: envoy, x-debug: null}}
    # - tcp: db.example.test:5432
    #   send: "hello\n"
    #   expect: {line: echo-tcp}

The host of a URL is the Host header and, for https, the name asked for by SNI; the port (80, 443 or the written one)
chooses the listener. An expected text is compared whole; between slashes it is a regular expression to be found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    model_validator,
)

from northgate.ops.exchange import Outcome

METHODS = ("get", "head", "post", "put", "delete", "options", "patch", "connect", "trace")

_START = "# requests:"
_PORTS = {"http": 80, "https": 443}


class TableError(ValueError):
    """A table that cannot be read; the text begins with `source:line:`."""


def _pattern(text: str) -> str:
    if is_pattern(text):
        try:
            re.compile(text[1:-1])
        except re.error as error:
            raise ValueError(f"{text} is no regular expression: {error}") from error
    return text


def is_pattern(text: str) -> bool:
    """Tell whether an expected text is a regular expression between slashes."""
    return len(text) > 2 and text[0] == text[-1] == "/"  # noqa: PLR2004 - two slashes and something between


def _pair(value: Any) -> Any:
    return [value, value] if isinstance(value, int) and not isinstance(value, bool) else value


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first bound is above the second")
    return pair


Text = Annotated[str, AfterValidator(_pattern)]
Bounds = Annotated[tuple[float, float], AfterValidator(_rising)]
Count = Annotated[tuple[StrictInt, StrictInt], Field(strict=False), BeforeValidator(_pair), AfterValidator(_rising)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Expect(_Strict):
    """What each answer must be; with `shares`, what all answers of the row must be together.

    `sees`, `path` and `sni` speak of the request as the upstream saw it. A share is named by the upstream that
    answered, by the status if the proxy itself answered, or by the outcome if nothing did:
    `{echo-a: [200, 260], "429": 5}`. Every answer must belong to a share.
    """

    outcome: Outcome = Outcome.ANSWERED
    status: int | None = Field(default=None, ge=100, le=599)
    headers: dict[str, Text | tuple[str, ...] | None] = {}
    body: Text | None = None
    upstream: str | None = None
    path: str | None = None
    sees: dict[str, Text | tuple[str, ...] | None] = {}
    sni: str | None = None
    seconds: Bounds | None = None
    shares: dict[str, Count] = {}
    shadowed: str | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expects nothing")
        return self

    @model_validator(mode="after")
    def _one_kind_of_end(self) -> Self:
        of_answers = self.model_fields_set - {"outcome", "seconds", "shadowed"}
        if self.outcome is not Outcome.ANSWERED and of_answers:
            raise ValueError(f"outcome {self.outcome} has no answer, so no {', '.join(sorted(of_answers))}")
        return self


class HttpRow(_Strict):
    """Requests for one URL: `times` of them, at most `parallel` at once.

    Repeats share connections if `keep` says so. `sticky` sends the cookies of earlier answers with later repeats and
    expects one upstream for all. `certificate` names the client certificate to show.
    """

    method: str
    url: str
    headers: dict[str, str | tuple[str, ...]] = {}
    body: str = ""
    http: Literal[1, 2] = 1
    times: int = Field(default=1, ge=1, le=100_000)
    parallel: int = Field(default=1, ge=1, le=1000)
    keep: bool = True
    sticky: bool = False
    certificate: str | None = None
    expect: Expect

    @model_validator(mode="after")
    def _readable_url(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.fragment or not self.url.isascii():
            raise ValueError(f"{self.url!r} is no http:// or https:// URL without a fragment, in ASCII")
        if self.sticky and self.parallel > 1:
            raise ValueError("sticky repeats follow one another: parallel must be 1")
        return self

    @property
    def title(self) -> str:
        """The row in a few words."""
        return f"{self.method} {self.url}" + (f" x {self.times}" if self.times > 1 else "")

    @property
    def secure(self) -> bool:
        """Whether the listener speaks TLS."""
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        """The host as written, with its port if one is written."""
        return re.split(r"[/?]", self.url.partition("://")[2], maxsplit=1)[0]

    @property
    def hostname(self) -> str:
        """The host in lower case without a port."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The listener's port."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def target(self) -> str:
        """Path and query, byte for byte as written."""
        rest = self.url.partition("://")[2][len(self.host) :]
        return rest if rest.startswith("/") else f"/{rest}"


class ExpectLine(_Strict):
    """What a TCP connection must bring: its first line, without the line end, or an outcome without a line."""

    line: Text | None = None
    outcome: Outcome = Outcome.ANSWERED
    shares: dict[str, Count] = {}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expects nothing")
        return self


class TcpRow(_Strict):
    """TCP connections to `host:port`: `send` is sent, the first line read. With `tls`, host is the name for SNI."""

    tcp: str = Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")
    send: str = ""
    tls: bool = False
    times: int = Field(default=1, ge=1, le=100_000)
    expect: ExpectLine

    @property
    def title(self) -> str:
        """The row in a few words."""
        return f"tcp {self.tcp}" + (f" x {self.times}" if self.times > 1 else "")

    @property
    def hostname(self) -> str:
        """The host part."""
        return self.tcp.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The listener's port."""
        return int(self.tcp.rpartition(":")[2])


Row = HttpRow | TcpRow


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one example; `source` is the name errors use."""

    source: str
    rows: tuple[Row, ...]


def read_table(text: str, source: str = "table") -> Table:
    """Read the table in the comments of `text`; without a `# requests:` line it has no rows.

    Raises TableError for the first row that cannot be read, naming source, line and field.
    """
    lines = text.splitlines()
    if _START not in lines:
        return Table(source, ())
    first = lines.index(_START) + 1
    yaml_text = "\n" * first + "".join(f"{line}\n" for line in _comments(lines[first:], source, first))
    try:
        node = yaml.compose(yaml_text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise TableError(f"{source}: {error}") from error
    if not isinstance(node, yaml.SequenceNode):
        raise TableError(f"{source}:{first}: the lines after `{_START}` are no YAML list")
    return Table(source, tuple(_row(entry, source) for entry in node.value))


def _comments(lines: list[str], source: str, before: int) -> Iterator[str]:
    for number, line in enumerate(lines, before + 1):
        if not line.startswith("#"):
            return
        if line.rstrip() != "#" and not line.startswith("# "):
            raise TableError(f"{source}:{number}: a line of the table begins with `# `")
        yield line[2:]


def _row(node: yaml.Node, source: str) -> Row:
    where = f"{source}:{node.start_mark.line + 1}"
    twice = next(_repeated(node), None)
    if twice is not None:
        raise TableError(f"{source}:{twice.start_mark.line + 1}: {twice.value} is written twice")
    raw = _constructed(node)
    if not isinstance(raw, dict):
        raise TableError(f"{where}: a request is a mapping such as {{get: URL, expect: {{status: 200}}}}")
    kind: type[HttpRow | TcpRow] = TcpRow if "tcp" in raw else HttpRow
    try:
        # By way of JSON, where strictness takes a list for a tuple and a number for the name of a share.
        row: Row = kind.model_validate_json(json.dumps(raw if kind is TcpRow else _spelled(raw, where), default=str))
    except ValidationError as error:
        raise TableError("\n".join(dict.fromkeys(f"{where}: {_said(detail)}" for detail in error.errors()))) from error
    return row


def _spelled(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """`{get: URL, …}` becomes `{method: GET, url: URL, …}`."""
    found = [name for name in METHODS if name in raw]
    if len(found) != 1 or {"method", "url"} & raw.keys():
        raise TableError(f"{where}: a request has exactly one of {', '.join(METHODS)} or tcp")
    rest = {name: value for name, value in raw.items() if name != found[0]}
    return {"method": found[0].upper(), "url": raw[found[0]], **rest}


def _said(detail: Any) -> str:
    # Parts with brackets name a branch of a union, not a field.
    field = ".".join(str(part) for part in detail["loc"] if "[" not in str(part))
    text = detail["msg"].removeprefix("Value error, ")
    return f"{field}: {text}" if field else text


def _constructed(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    return loader.construct_document(node)


def _repeated(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Find keys written twice in one mapping; YAML would silently keep the last."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _repeated(entry)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                yield key
            seen.add(str(key.value))
            yield from _repeated(value)
