"""What are users' objects made of? The model base, bounded string types and cross-field rules with their CEL twin."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Unique:
    """The entries of list `field` differ: in their field `by`, or as a whole when `by` is empty. camelCase names."""

    field: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class CrossRule:
    """A rule over several fields of one block: the CEL expression for the CRD and the same rule in Python.

    `message` names the remedy. Both halves must agree; a test evaluates them on the same examples. A rule with
    `unique` becomes the list's type in the CRD (`set` or `map`), which the API server checks without CEL's costs.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    unique: Unique | None = None


def exactly_one(*fields: str) -> CrossRule:
    """Exactly one of these camelCase fields is present."""
    return CrossRule(
        " + ".join(f"(has(self.{f}) ? 1 : 0)" for f in fields) + " == 1",
        f"set exactly one of: {', '.join(fields)}",
        lambda model: model.present(*fields) == 1,
    )


def at_most_one(*fields: str) -> CrossRule:
    """At most one of these camelCase fields is present."""
    return CrossRule(
        " + ".join(f"(has(self.{f}) ? 1 : 0)" for f in fields) + " <= 1",
        f"set at most one of: {', '.join(fields)}",
        lambda model: model.present(*fields) <= 1,
    )


def at_least_one(*fields: str) -> CrossRule:
    """At least one of these camelCase fields is present."""
    return CrossRule(
        " || ".join(f"has(self.{f})" for f in fields),
        f"set at least one of: {', '.join(fields)}",
        lambda model: model.present(*fields) >= 1,
    )


def unique(field: str, by: str = "") -> CrossRule:
    """No two entries of this list of scalars are equal, or no two blocks in it have the same `by`."""
    key = f".{by}" if by else ""
    return CrossRule(
        f"!has(self.{field}) || self.{field}.all(a, self.{field}.exists_one(b, a{key} == b{key}))",
        f"{field} must not repeat a {by or 'value'}",
        lambda model: not _repeats(getattr(model, _snake(field)) or (), by),
        Unique(field, by),
    )


def _repeats(entries: tuple[Any, ...], by: str) -> bool:
    keys = [getattr(entry, _snake(by)) for entry in entries] if by else list(entries)
    return len(set(keys)) != len(keys)


class Model(BaseModel):
    """A block of an object: immutable, camelCase, no unknown fields, types as the API server reads them."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        regex_engine="rust-regex",
    )

    cross_rules: ClassVar[tuple[CrossRule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule.message for rule in type(self).cross_rules if not rule.holds(self)]
        if broken:
            raise ValueError("\n".join(broken))
        return self

    def present(self, *fields: str) -> int:
        """How many of these camelCase fields are set."""
        return sum(getattr(self, _snake(f)) is not None for f in fields)


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@cache
def _snake(camel: str) -> str:
    return _CAMEL.sub("_", camel).lower()


def text(pattern: str, longest: int, shortest: int = 1) -> Any:
    """Constraints of a string type: a pattern anchored on both sides and bounds on its length in characters."""
    return StringConstraints(pattern=f"^{pattern}$", min_length=shortest, max_length=longest)


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

Name = Annotated[str, text(rf"{_LABEL}(\.{_LABEL})*", 253)]
"""Name of a Kubernetes object (RFC 1123 subdomain)."""

Label = Annotated[str, text(_LABEL, 63)]
"""An RFC 1123 label: namespaces, listener names, rule names."""

Hostname = Annotated[str, text(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", 253)]
"""A hostname in lower case, `*.` in front for every name below it."""

PreciseHostname = Annotated[str, text(rf"{_LABEL}(\.{_LABEL})*", 253)]
"""A hostname in lower case, without wildcard."""

Port = Annotated[int, Field(ge=1, le=65535)]

Duration = Annotated[str, text(r"([0-9]{1,5}(h|m|s|ms)){1,4}", 32)]
"""A length of time in Kubernetes' spelling (GEP-2257): `500ms`, `10s`, `1h30m`."""

Percent = Annotated[str, text(r"(100|[0-9]{1,2}(\.[0-9]{1,4})?)", 7)]
"""A share of 100 as a string, up to four decimals: `"5"`, `"0.25"`."""

Size = Annotated[str, text(r"[0-9]{1,9}(Ki|Mi|Gi)?", 12)]
"""A number of bytes: `512`, `32Ki`, `1Mi`."""

HeaderName = Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9_-]*", 128)]
"""Name of an HTTP header field; case does not matter."""

HeaderValue = Annotated[str, text(r"[\x20-\x7e]*", 2048, 0)]
"""Value of an HTTP header field: printable ASCII."""

Regex = Annotated[str, text(r"[\x20-\x7e]+", 1024)]
"""A regular expression in RE2's syntax that must match the whole value."""

AbsolutePath = Annotated[str, text(r"/[!-\x22\x24-\x3e\x40-\x7e]*", 1024)]
"""A URL path: begins with `/`, has no blank, `?` or `#`."""

Cidr = Annotated[str, text(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?", 43)]
"""An IP address or a range of them: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`."""

_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def milliseconds(duration: str) -> int:
    """A valid `Duration` in milliseconds."""
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(duration))


def octets(size: str) -> int:
    """A valid `Size` in bytes."""
    return int(size[:-2]) * _SIZES[size[-2:]] if size[-1] == "i" else int(size)


def millionths(percent: str) -> int:
    """A valid `Percent` as parts of a million."""
    whole, _, rest = percent.partition(".")
    return int(whole) * 10_000 + int(rest.ljust(4, "0") or 0)
