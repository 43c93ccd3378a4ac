"""What is to be done about a reference that leads nowhere? The name that was meant, or that something must be made."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from northgate.engine import Collection
from northgate.world.store import Name

_ALIKE = 0.6


def absent(kind: str, name: Name, beside: Collection[str, tuple[str, ...]] | None) -> str:
    """The sentence for an object that does not exist. `beside` holds names by namespace, where they may be read.

    Names of another namespace are not told: who may refer to one object there may not know all of them.
    """
    known = (beside.get(name[0]) or ()) if beside is not None else ()
    return f"{kind} {'/'.join(name)} does not exist; {meant(name[1], known) or 'create it or correct the name'}"


def meant(word: str, known: Iterable[str]) -> str:
    """The question for the name that looks most like this one; empty when none does."""
    near = get_close_matches(word, known, n=1, cutoff=_ALIKE)
    return f"did you mean {near[0]}?" if near else ""
