"""Would the proxy accept this regular expression? The same engine and the same limit as Envoy's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import re2

from northgate.api.conditions import Path, Problem, Reason

MAX_PROGRAM_SIZE = 1000
"""Instructions a compiled expression may have. The proxies' bootstrap sets the same limit."""


@lru_cache(maxsize=4096)
def _complaint(pattern: str) -> str | None:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        return f"{pattern!r} is not an RE2 expression: {said}"
    if compiled.programsize > MAX_PROGRAM_SIZE:
        return (
            f"{pattern[:40]!r} compiles to {compiled.programsize} instructions, more than {MAX_PROGRAM_SIZE}; "
            "use fewer or smaller repetitions"
        )
    return None


def regex_problem(pattern: str, path: Path) -> Iterable[Problem]:
    """The problem with an expression, if there is one. RE2 has no look-around and no back-references."""
    complaint = _complaint(pattern)
    if complaint is not None:
        yield Problem(path, Reason.UNSUPPORTED_VALUE, complaint)
