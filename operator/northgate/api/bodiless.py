"""Which answers have no body? A proxy told to give one sends it, and it begins the next answer on the connection."""

from __future__ import annotations

from typing import Final

from northgate.api.base import CrossRule

_STATUSES: Final = frozenset({204, 205, 304})
_CEL: Final = "self.status in [204, 205, 304]"

HAS_BODY: Final = CrossRule(
    f"!has(self.status) || !({_CEL})",
    "answers with status 204, 205 or 304 have no body, and this one has",
    lambda answer: answer.status not in _STATUSES,
)
"""For blocks whose answer always has a body."""

BODY_FITS: Final = CrossRule(
    f"!has(self.body) || size(self.body) == 0 || !({_CEL})",
    "answers with status 204, 205 or 304 have no body; leave body out",
    lambda answer: not answer.body or answer.status not in _STATUSES,
)
"""For blocks that may have a `body`."""
