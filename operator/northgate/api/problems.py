"""What does a schema error mean to the person who made it? pydantic's errors as problems with path and remedy."""

from __future__ import annotations

from pydantic import ValidationError

from northgate.api.conditions import Problem, Reason


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """The mistakes in an object, in the order of its fields; consequences of other mistakes are left out."""
    found = [(entry["loc"], entry["msg"]) for entry in error.errors(include_url=False, include_input=False)]
    paths = [path for path, _ in found]
    return tuple(
        Problem(path, Reason.INVALID, message)
        for path, message in found
        if not any(other != path and other[: len(path)] == path for other in paths)
    )
