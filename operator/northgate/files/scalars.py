"""What does a plain YAML word mean? The JSON value kubectl reads, or a refusal where readers of YAML disagree."""

from __future__ import annotations

import math
import re

Scalar = str | bool | int | float | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_AMBIGUOUS = frozenset(("y", "Y", "n", "N"))
_NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PREFIXED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]?([0-7]+))")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_LONGEST_NUMBER = 64


class AmbiguousError(ValueError):
    """This word has no single meaning; the text says why and ends with the remedy."""


def plain(text: str) -> Scalar:
    """The value of a scalar written without quotes.

    The rules are YAML 1.1 as Kubernetes tools read it: `yes` and `on` are booleans, `0755` is octal, a timestamp and
    `22:22` stay text. Raises `AmbiguousError` for `y` and `n` (some readers see booleans) and for numbers JSON lacks.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text in _AMBIGUOUS:
        raise AmbiguousError(f"{text} is a boolean to some readers of YAML and text to others, so put it in quotes")
    if _NOT_JSON.fullmatch(text):
        raise AmbiguousError(f"{text} is not a number JSON knows, so write a finite number or put it in quotes")
    if text[0] in "+-.0123456789":
        return _number(text)
    return text


def _number(text: str) -> Scalar:
    digits = text.replace("_", "")
    if len(text) > _LONGEST_NUMBER:
        return _long_number(text, digits)
    if _DECIMAL.fullmatch(digits):
        return _in_64_bits(text, int(digits))
    if match := _PREFIXED.fullmatch(digits):
        return _in_64_bits(text, _from_base(match))
    if _LEADING_ZERO.fullmatch(digits):
        raise AmbiguousError(f"{text} starts with 0 and is no octal number, so drop the 0 or put it in quotes")
    if _FLOAT.fullmatch(digits):
        return _finite(text, float(digits))
    return text


def _long_number(text: str, digits: str) -> str:
    if _FLOAT.fullmatch(digits):
        raise AmbiguousError(f"the number has more than {_LONGEST_NUMBER} digits, so shorten it or put it in quotes")
    return text


def _from_base(match: re.Match[str]) -> int:
    sign, hexadecimal, binary, octal = match.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (binary, 2) if binary else (octal, 8)
    return int(sign + digits, base)


def _in_64_bits(text: str, number: int) -> int:
    if not -(2**63) <= number < 2**64:
        raise AmbiguousError(f"{text} does not fit into 64 bits, so write a smaller number or put it in quotes")
    return number


def _finite(text: str, number: float) -> float:
    if not math.isfinite(number):
        raise AmbiguousError(f"{text} is too large for a number, so write a smaller one or put it in quotes")
    return number
