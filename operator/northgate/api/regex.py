"""Would the proxy accept this regular expression? The same engine and the same limit as Envoy's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import re2

from northgate.api.conditions import Path, Problem, Reason

MAX_PROGRAM_SIZE = 1000
"""Instructions a compiled expression may have. The proxies' bootstrap sets the same limit."""

_LONGEST_SHOWN = 40
_ESCAPE = re.compile(r"\\(.?)")
_REMEDIES = (
    ("invalid perl operator", "there is no look-around; say it with another match or invert: true"),
    ("invalid escape sequence: \\", "there are no back-references and few escapes; leave the backslash out"),
    ("bad repetition operator", "repeat once, by *, + or ?"),
    ("invalid repetition size", "repeat at most 1000 times"),
    ("no argument for repetition", "put something before the *, + or ?"),
    ("missing )", "close the parenthesis, or put a backslash before it"),
    ("unexpected )", "open the parenthesis, or put a backslash before it"),
    ("missing ]", "close the bracket, or put a backslash before it"),
    ("invalid character class range", "write the lower end first"),
    ("trailing", "write two backslashes for one"),
)
"""What RE2 says, and what to do then; the first part that is found counts."""


@lru_cache(maxsize=4096)
def _complaint(pattern: str) -> str | None:
    if not pattern:
        return "the expression is empty; write .* for every value, or an Exact match for the empty one"
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        return f"{_shown(pattern)} is not an RE2 expression: {said}; {_remedy(said)}"
    if compiled.programsize > MAX_PROGRAM_SIZE:
        return (
            f"{_shown(pattern)} compiles to {compiled.programsize} instructions, more than {MAX_PROGRAM_SIZE}; "
            "use fewer or smaller repetitions"
        )
    return None


def regex_problem(pattern: str, path: Path) -> Iterable[Problem]:
    """The problem with an expression, if there is one. RE2 has no look-around and no back-references."""
    complaint = _complaint(pattern)
    if complaint is not None:
        yield Problem(path, Reason.UNSUPPORTED_VALUE, complaint)


def matches_empty(pattern: str) -> bool:
    """Whether a valid expression matches the empty text; False for an invalid one."""
    return _complaint(pattern) is None and re2.fullmatch(pattern, "") is not None


def substitution_problem(pattern: str, substitution: str, path: Path) -> Iterable[Problem]:
    r"""The problem with the text for what a valid expression finds: proxies replace nothing when it names no group."""
    groups = re2.compile(pattern).groups
    for escaped in _ESCAPE.findall(substitution):
        if not (escaped.isdecimal() or escaped == "\\"):
            remedy = r"write \\ for a backslash, or \0 to \9 for a group"
            yield Problem(path, Reason.UNSUPPORTED_VALUE, f"a backslash stands before {escaped!r}; {remedy}")
        elif escaped.isdecimal() and int(escaped) > groups:
            found = f"\\{escaped} is inserted, but the expression has {groups} groups; add a group in parentheses"
            yield Problem(path, Reason.UNSUPPORTED_VALUE, found)


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= _LONGEST_SHOWN else f"{pattern[:_LONGEST_SHOWN]}…")


def _remedy(said: str) -> str:
    return next((remedy for part, remedy in _REMEDIES if part in said), "correct the expression")
