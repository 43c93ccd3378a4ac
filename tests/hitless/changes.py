"""Which changes may happen to a site? Random valid ones: after each, every host that is there can answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from tests.hitless.site import Host, Pool, Site

UPSTREAMS = ("echo-a", "echo-b", "echo-c")
STEADY = ("steady-0", "steady-1", "steady-2", "steady-3")
"""Hosts that are there all the time."""
PASSING = ("passing-0", "passing-1")
"""Hosts that come and go."""
PAIRS = 3

_FOUNDING = ("pool-0", "pool-1", "pool-2")
_LATER = tuple(f"pool-{number}" for number in range(3, 9))
_MAX_WEIGHT = 3

T = TypeVar("T")
Change = Callable[[Site, random.Random], Site]


def founding() -> Site:
    """The site before its first change."""
    pools = {name: Pool("Service", (upstream,)) for name, upstream in zip(_FOUNDING, UPSTREAMS, strict=True)}
    return Site(pools, {name: Host(((_FOUNDING[number % 3], 1),)) for number, name in enumerate(STEADY)})


def swap(site: Site, rng: random.Random) -> Site:
    """Send a host's requests to another pool."""
    name = rng.choice(STEADY)
    pools = [pool for pool in sorted(site.pools) if pool not in site.hosts[name].used]
    return _with_host(site, name, replace(site.hosts[name], pools=((rng.choice(pools), 1),))) if pools else site


def swap_to_new(site: Site, rng: random.Random) -> Site:
    """Make a pool and send a host's requests there; perhaps take away what is not used any more in the same change."""
    grown = new_pool(site, rng)
    added = sorted(grown.pools.keys() - site.pools.keys())
    if not added:
        return prune(site, rng)
    name = rng.choice(STEADY)
    moved = _with_host(grown, name, replace(site.hosts[name], pools=((added[0], 1),)))
    return prune(moved, rng) if rng.random() < 0.5 else moved


def new_pool(site: Site, rng: random.Random) -> Site:
    """Make a pool nobody uses yet, of a name that may have been there before."""
    free = [name for name in _LATER if name not in site.pools]
    return _with_pool(site, rng.choice(free), _drawn_pool(site, rng)) if free else site


def prune(site: Site, _rng: random.Random) -> Site:
    """Delete the pools nobody uses."""
    referred = site.referred()
    return replace(site, pools={n: pool for n, pool in site.pools.items() if n in referred or n in _FOUNDING})


def reshape(site: Site, rng: random.Random) -> Site:
    """Make another kind of pool under the same name: its cluster is replaced."""
    names = [name for name in _LATER if name in site.pools and name not in _selected(site)]
    if not names:
        return site
    name = rng.choice(names)
    return _with_pool(site, name, _drawn_pool(site, rng))


def churn(site: Site, rng: random.Random) -> Site:
    """Add, remove or replace endpoints of a pool; at least one stays."""
    names = [name for name, pool in sorted(site.pools.items()) if pool.kind != "Selected"]
    name = rng.choice(names)
    return _with_pool(site, name, replace(site.pools[name], members=_some(UPSTREAMS, rng)))


def weigh(site: Site, rng: random.Random) -> Site:
    """Share a host's requests between two pools; one of them may get none."""
    name = rng.choice(STEADY)
    first, second = rng.sample(sorted(site.pools), 2)
    weights = ((first, rng.randint(1, _MAX_WEIGHT)), (second, rng.randint(0, _MAX_WEIGHT)))
    return _with_host(site, name, replace(site.hosts[name], pools=weights))


def rewrite(site: Site, rng: random.Random) -> Site:
    """Change the path the upstream sees."""
    name = rng.choice(STEADY)
    prefixes = [one for one in ("", "/one", "/two/deep") if one != site.hosts[name].prefix]
    return _with_host(site, name, replace(site.hosts[name], prefix=rng.choice(prefixes)))


def tag(site: Site, rng: random.Random) -> Site:
    """Change a header the upstream or the client sees."""
    name = rng.choice(STEADY)
    if rng.random() < 0.5:
        return _with_host(site, name, replace(site.hosts[name], request_tag=_other_tag(site.hosts[name].request_tag)))
    return _with_host(site, name, replace(site.hosts[name], response_tag=_other_tag(site.hosts[name].response_tag)))


def come_or_go(site: Site, rng: random.Random) -> Site:
    """Add a host, or delete one."""
    name = rng.choice(PASSING)
    if name in site.hosts:
        return replace(site, hosts={host: found for host, found in site.hosts.items() if host != name})
    return _with_host(site, name, Host(((rng.choice(sorted(site.pools)), 1),)))


def rotate(site: Site, _rng: random.Random) -> Site:
    """Serve another certificate."""
    return replace(site, certificate=(site.certificate + 1) % PAIRS)


def listen(site: Site, _rng: random.Random) -> Site:
    """Add a listener on a port of its own, or remove it."""
    return replace(site, elsewhere=not site.elsewhere)


CHANGES: Mapping[Change, int] = {
    swap: 6,
    swap_to_new: 8,
    new_pool: 1,
    prune: 2,
    reshape: 2,
    churn: 6,
    weigh: 4,
    rewrite: 3,
    tag: 4,
    come_or_go: 4,
    rotate: 2,
    listen: 2,
}
"""Every change with how often it is drawn."""


def draw(site: Site, rng: random.Random) -> tuple[str, Site]:
    """Draw a change that makes a difference: its name and the site after it."""
    while True:
        change = rng.choices(list(CHANGES), list(CHANGES.values()))[0]
        after = change(site, rng)
        if after != site:
            return change.__name__, after


def _drawn_pool(site: Site, rng: random.Random) -> Pool:
    kind = rng.choice(("Service", "Static", "Selected"))
    if kind == "Selected":
        services = tuple(name for name in _FOUNDING if site.pools[name].kind == "Service")
        return Pool("Selected", _some(services, rng))
    return Pool("Service" if kind == "Service" else "Static", _some(UPSTREAMS, rng))


def _selected(site: Site) -> frozenset[str]:
    return frozenset(name for pool in site.pools.values() if pool.kind == "Selected" for name in pool.members)


def _some(among: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(among, rng.randint(1, len(among)))))


def _other_tag(current: str) -> str:
    return f"tag-{int(current.removeprefix('tag-') or 0) + 1}"


def _with_host(site: Site, name: str, host: Host) -> Site:
    return replace(site, hosts={**site.hosts, name: host})


def _with_pool(site: Site, name: str, pool: Pool) -> Site:
    return replace(site, pools={**site.pools, name: pool})
