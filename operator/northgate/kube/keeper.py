"""Who keeps the certificates of the xDS port? The holder of the Lease makes them; every replica reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from northgate.kube.calls import Api
from northgate.kube.clocks import Clocks
from northgate.kube.pki import Authorities, Pair, client_leaf, server_leaf, server_names, settled
from northgate.kube.secrets import authorities_secret, client_secret, held_authorities, held_leaf, server_secret
from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import MANAGER, Document, certificate_name

_APPLY = "application/apply-patch+yaml"
_NOT_FOUND = 404


class KeepError(Exception):
    """A certificate could not be read or written: one sentence."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The server's pair and the authorities, as they are now."""

    leaf: Pair
    authorities: Authorities


class Keeper:
    """The Secrets `<name>-authorities` and `<name>-server` in one namespace, and those of gateways.

    `hosts` are what proxies call the server by; the names of the Service `<name>` when there are none.
    """

    def __init__(self, api: Api, clocks: Clocks, place: tuple[str, str], hosts: tuple[str, ...] = ()) -> None:
        self._api = api
        self._clocks = clocks
        self._namespace, self._name = place
        self._hosts = hosts or server_names(self._name, self._namespace)

    async def keep(self) -> Kept:
        """Make or renew what is due, and return what counts. Only for the holder of the Lease. KeepError if not so."""
        now = self._clocks.wall()
        held = await self._read(self._namespace, f"{self._name}-authorities")
        before = held_authorities(held)
        authorities = settled(before, now)
        if authorities != before:
            document = authorities_secret(self._namespace, f"{self._name}-authorities", authorities)
            await self._write(document, held)
        kept = await self._read(self._namespace, f"{self._name}-server")
        old = held_leaf(kept)
        leaf = server_leaf(old, authorities, self._hosts, now)
        document = server_secret(self._namespace, f"{self._name}-server", leaf, authorities)
        if leaf != old or (kept or {}).get("data") != document["data"]:
            await self._write(document, kept)
        return Kept(leaf, authorities)

    async def read(self) -> Kept | None:
        """What counts, for replicas that do not hold the Lease; None while nobody has made it. KeepError if unknown."""
        authorities = held_authorities(await self._read(self._namespace, f"{self._name}-authorities"))
        leaf = held_leaf(await self._read(self._namespace, f"{self._name}-server"))
        return Kept(leaf, authorities) if authorities is not None and leaf is not None else None

    async def client(self, gateway: Gateway, authorities: Authorities) -> Document:
        """The Secret that a gateway's pods mount, renewed if that is due; to be applied with its other objects."""
        held = await self._read(gateway.namespace, certificate_name(gateway))
        group = f"{gateway.namespace}/{gateway.name}"
        leaf = client_leaf(held_leaf(held), authorities, group, self._clocks.wall())
        return client_secret(gateway, leaf, authorities)

    async def _read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        answer = await self._api.request("GET", _path(namespace, name))
        if answer.ok:
            return answer.document
        if answer.status == _NOT_FOUND:
            return None
        raise KeepError(f"Secret {namespace}/{name} cannot be read: {answer.message or answer.status}")

    async def _write(self, document: Document, before: Mapping[str, Any] | None) -> None:
        about = document["metadata"]
        # With the version that was read, two that believe to hold the Lease cannot overwrite each other.
        version = {"resourceVersion": before["metadata"]["resourceVersion"]} if before is not None else {}
        body = {**document, "metadata": {**about, **version}}
        query = f"fieldManager={MANAGER}&force=true"
        answer = await self._api.request("PATCH", f"{_path(about['namespace'], about['name'])}?{query}", body, _APPLY)
        if not answer.ok:
            where = f"{about['namespace']}/{about['name']}"
            raise KeepError(f"Secret {where} cannot be written: {answer.message or answer.status}")


def _path(namespace: str, name: str) -> str:
    return f"api/v1/namespaces/{namespace}/secrets/{name}"
