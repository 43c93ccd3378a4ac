"""Who may a proxy say it is? A proxy of the gateway its certificate names, and of no other."""

from __future__ import annotations

from collections.abc import Iterable

_TRUST_DOMAIN = "spiffe://northgate/"


def proxy_identity(group: str) -> str:
    """The URI a certificate of a gateway's proxies bears; `group` is `namespace/gateway`."""
    return _TRUST_DOMAIN + group


def vouches(names: Iterable[str], group: str) -> bool:
    """Whether a certificate with these subject alternative names is for proxies of a group."""
    return bool(group) and proxy_identity(group) in names
