"""What a request changes in a subscription: names, wildcard, and which names are due an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from northgate.snapshot.resource import ENDPOINT
from northgate.xds.catalog import Catalog
from northgate.xds.entry import Entry
from northgate.xds.request import WILDCARD, Dialect, Request
from northgate.xds.subscription import NAMED_ONLY, Subscription


def first_state(sub: Subscription, request: Request) -> None:
    """The first State-of-the-World request for a type on a stream."""
    _ask_by_names(sub, request.names)
    sub.returning = bool(request.version)
    sub.owed = sub.complete
    sub.claim = request


def next_state(sub: Subscription, request: Request, since: int) -> None:
    """A later State-of-the-World request whose nonce is good: its names replace the ones before."""
    names, wildcard = sub.names, sub.wildcard
    _ask_by_names(sub, request.names)
    if sub.wildcard and not wildcard:
        sub.fresh = True
    sub.forget([name for name in sub.gaps if not sub.covers(name)])
    added = sub.names - names
    if not sub.fresh:
        for name in added:
            sub.force(name, None, since)
    sub.owed = sub.owed or (sub.complete and bool(added or sub.wildcard != wildcard))
    if sub.names != names:
        sub.refused = None
    _rest_if_unwanted(sub)


def _ask_by_names(sub: Subscription, names: frozenset[str]) -> None:
    """Set names and wildcard; no names mean everything only as long as there never were any."""
    sub.ever_named = sub.ever_named or bool(names)
    sub.wildcard = WILDCARD in names or not (sub.ever_named or sub.type_url in NAMED_ONLY)
    sub.names = names - {WILDCARD}


def _rest_if_unwanted(sub: Subscription) -> None:
    if not sub.wanted:
        sub.fresh = sub.owed = False
        sub.gaps.clear()


def first_delta(sub: Subscription, request: Request) -> None:
    """The first delta request for a type on a stream."""
    names = frozenset(request.subscribe)
    legacy = not (names or request.unsubscribe or sub.type_url in NAMED_ONLY)
    sub.wildcard = WILDCARD in names or legacy
    sub.names = names - {WILDCARD}
    sub.returning = bool(request.versions)
    sub.owed = sub.wildcard
    sub.claim = request


def resume(sub: Subscription, catalog: Catalog, vouched: Callable[[str], bool]) -> bool:
    """Start from what the proxy claims to hold, now that there is a snapshot to compare with.

    `vouched` says of an assignment whether the proxy surely uses it with its present cluster. True if the claim of a
    State-of-the-World proxy is a version we know: absence means deletion there, so only then is the difference known;
    everything else is answered in full, since the proxy may be warming (Envoy #9934).
    """
    claim, sub.claim = sub.claim, None
    if claim is None:
        return False
    sub.cursor = catalog.head
    if sub.dialect is Dialect.DELTA:
        if claim.versions:
            _continue_from(sub, claim.versions, catalog, vouched)
        return False
    view = catalog.view_of(claim.version) if sub.wildcard and sub.complete else None
    if view is not None:
        sub.owed = False
        sub.resume(catalog, view)
    return view is not None


def _continue_from(
    sub: Subscription, versions: Mapping[str, str], catalog: Catalog, vouched: Callable[[str], bool]
) -> None:
    """Open gaps only where the proxy's versions differ from the published ones, or are published no more."""
    sub.fresh = False
    since = catalog.head.revision
    for name, version in versions.items():
        current = catalog.entries.get(name)
        if not sub.covers(name):
            continue
        if current is None or current.version != version:
            sub.note(name, Entry.foreign(name, version), current, since)
        if not vouched(name):
            sub.force(name, current, since)
    for name in sub.names.union(catalog.entries) if sub.wildcard else sub.names:
        if name not in versions:
            sub.lack(name, None, since)


def next_delta(sub: Subscription, request: Request, catalog: Catalog | None, since: int) -> None:
    """A later delta request: its changes are honoured whatever its nonce says."""
    for name in request.unsubscribe:
        _unsubscribe(sub, name, catalog, since)
    for name in request.subscribe:
        _subscribe(sub, name, catalog, since)
    _rest_if_unwanted(sub)


def _subscribe(sub: Subscription, name: str, catalog: Catalog | None, since: int) -> None:
    """A name asked for is answered, even if it was asked for and answered before."""
    if name == WILDCARD:
        sub.wildcard = sub.fresh = sub.owed = True
        return
    held = catalog.entries.get(name) if catalog and sub.covers(name) else None
    sub.names |= {name}
    sub.force(name, held, since)


def _unsubscribe(sub: Subscription, name: str, catalog: Catalog | None, since: int) -> None:
    """Under a wildcard an unsubscribed name is answered with what the wildcard says of it."""
    if name == WILDCARD:
        sub.wildcard = False
        sub.forget([gap for gap in sub.gaps if gap not in sub.names])
    elif name in sub.names:
        sub.names -= {name}
        if sub.wildcard:
            sub.force(name, catalog.entries.get(name) if catalog else None, since)
        else:
            sub.forget((name,))


def repeats_its_question(sub: Subscription, request: Request) -> bool:
    """Whether a good request is a second ACK with nothing new: an Envoy that warms a cluster asks again like that."""
    same = request.names - {WILDCARD} == sub.names
    return sub.type_url == ENDPOINT and bool(request.nonce) and request.error is None and same and sub.flight is None
