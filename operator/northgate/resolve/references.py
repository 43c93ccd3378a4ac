"""Which Secrets and ConfigMaps do objects refer to? Only those need to be read, and only they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from northgate.api.refs import SecretRef
from northgate.world.key import ObjectKey
from northgate.world.store import World


def referred(world: World) -> frozenset[ObjectKey]:
    """Every Secret and ConfigMap that a gateway or an Upstream names, whether it is there or not."""
    return frozenset((*_of_gateways(world), *_of_upstreams(world)))


def _of_gateways(world: World) -> Iterator[ObjectKey]:
    for (namespace, _), entry in world.gateways.items():
        for listener in entry.spec.listeners if entry.spec is not None else ():
            yield from _keys(namespace, listener.tls.certificate_refs or () if listener.tls is not None else ())


def _of_upstreams(world: World) -> Iterator[ObjectKey]:
    for (namespace, _), entry in world.upstreams.items():
        tls = entry.spec.tls if entry.spec is not None else None
        if tls is not None:
            yield from _keys(namespace, tls.ca_certificate_refs or ())
            yield from _keys(namespace, (tls.client_certificate_ref,) if tls.client_certificate_ref else ())


def _keys(namespace: str, refs: Iterable[SecretRef]) -> Iterator[ObjectKey]:
    return (ObjectKey("", ref.kind or "Secret", ref.namespace or namespace, ref.name) for ref in refs)
