"""What did the user mean by this word? Spellings of other products, and the nearest known one."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

SPELLINGS: dict[str, tuple[str, ...]] = {
    "authorization": ("access",),
    "backends": ("backendRefs",),
    "clusters": ("backendRefs",),
    "connectionTimeout": ("connectTimeout",),
    "consecutive5XxErrors": ("consecutive5xx",),
    "directResponse": ("respond",),
    "extAuth": ("auth.external",),
    "faultInjection": ("fault",),
    "fqdn": ("hostnames", "hostname"),
    "headerModifier": ("requestHeaders", "responseHeaders"),
    "host": ("hostnames", "hostname"),
    "hosts": ("hostnames", "hostname"),
    "maxParallelRequests": ("maxRequests",),
    "maxParallelRetries": ("maxRetries",),
    "numRetries": ("attempts",),
    "perRetryTimeout": ("perTry",),
    "perTryTimeout": ("perTry",),
    "prefixRewrite": ("rewrite.path.replacePrefix",),
    "replaceFullPath": ("replaceFull",),
    "replacePrefixMatch": ("replacePrefix",),
    "requestHeaderModifier": ("requestHeaders",),
    "requestMirror": ("mirror",),
    "requestRedirect": ("redirect",),
    "responseHeaderModifier": ("responseHeaders",),
    "retries": ("retry", "attempts"),
    "timeout": ("timeouts",),
    "urlRewrite": ("rewrite",),
    "virtualHosts": ("hostnames",),
}
"""Words for fields elsewhere, and what they are called here; the first whose head is a field of the block counts."""


def translated(word: str, known: Collection[str]) -> str | None:
    """The name here of a word from elsewhere, if this block has it. A dotted name leads into the block."""
    return next((name for name in SPELLINGS.get(word, ()) if name.partition(".")[0] in known), None)


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that looks most like this one, whatever its case and separators; None when none is near."""
    plain = {_plain(candidate): candidate for candidate in known}
    close = get_close_matches(_plain(word), plain, n=1, cutoff=0.75)
    return plain[close[0]] if close else None


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()
