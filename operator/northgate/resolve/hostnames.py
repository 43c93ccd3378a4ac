"""How do hostnames relate? Intersection of a Route's and a listener's, and which pattern covers which name."""

from __future__ import annotations

from collections.abc import Iterable

ANY = "*"
"""Every hostname."""


def covers(pattern: str, host: str) -> bool:
    """True when every name that `host` stands for is also one of `pattern`; both may be wildcards."""
    if pattern in (ANY, host):
        return True
    return pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[2:]


def narrower(pattern: str, than: str) -> bool:
    """True when `pattern` stands for some, but not all, of the names of `than`."""
    return pattern != than and covers(than, pattern)


def overlap(one: str, other: str) -> bool:
    """True when some name is covered by both."""
    return covers(one, other) or covers(other, one)


def intersection(listener: str, hosts: Iterable[str]) -> tuple[str, ...]:
    """The hostnames of a Route that a listener serves, each as specific as the two together say.

    A Route without hostnames takes the listener's. Sorted, so that the order in which they are written means nothing.
    """
    found = {host if covers(listener, host) else listener for host in hosts if overlap(listener, host)}
    return tuple(sorted(found))
