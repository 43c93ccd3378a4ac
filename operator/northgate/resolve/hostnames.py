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


def intersection(listener: str, hosts: Iterable[str]) -> tuple[str, ...]:
    """The hostnames of a Route that a listener serves, each as specific as the two together say.

    A Route without hostnames takes the listener's. Sorted, so that the order in which they are written means nothing.
    """
    found = {host if covers(listener, host) else listener for host in hosts if _meet(listener, host)}
    return tuple(sorted(found))


def _meet(listener: str, host: str) -> bool:
    return covers(listener, host) or covers(host, listener)
