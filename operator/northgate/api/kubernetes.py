"""What does Northgate read of Kubernetes' own kinds? Services, endpoints, Secrets, namespaces and grants, no more."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class ServicePort(msgspec.Struct, frozen=True, rename="camel"):
    """A port of a Service."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class Service(msgspec.Struct, frozen=True, rename="camel"):
    """What routes need to know of a Service: its ports; its endpoints come as EndpointSlices."""

    ports: tuple[ServicePort, ...] = ()
    type: str = "ClusterIP"
    ip_families: tuple[str, ...] = ()

    def port(self, number: int) -> ServicePort | None:
        """The TCP port with this number."""
        return next((p for p in self.ports if p.port == number and p.protocol == "TCP"), None)


class EndpointConditions(msgspec.Struct, frozen=True, rename="camel"):
    """Is an endpoint of use? Absent means yes, as Kubernetes defines it."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(msgspec.Struct, frozen=True, rename="camel"):
    """One backend Pod or host."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    zone: str | None = None


class EndpointPort(msgspec.Struct, frozen=True, rename="camel"):
    """A port all endpoints of a slice share."""

    port: int | None = None
    name: str | None = None
    protocol: str = "TCP"


class EndpointSlice(msgspec.Struct, frozen=True, rename="camel"):
    """Some endpoints of a Service."""

    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    address_type: str = "IPv4"
    service: str = ""


class Secret(msgspec.Struct, frozen=True, rename="camel"):
    """Secret bytes by key. Never printed: `repr` shows the keys only."""

    type: str
    data: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Secret(type={self.type!r}, keys={sorted(self.data)!r})"


class ConfigMap(msgspec.Struct, frozen=True, rename="camel"):
    """Text by key."""

    data: dict[str, str]


class Namespace(msgspec.Struct, frozen=True, rename="camel"):
    """The labels selectors look at."""

    labels: dict[str, str]


class GrantFrom(msgspec.Struct, frozen=True, rename="camel"):
    """Who may refer to things in the grant's namespace."""

    group: str
    kind: str
    namespace: str


class GrantTo(msgspec.Struct, frozen=True, rename="camel"):
    """What may be referred to; every object of the kind when `name` is absent."""

    group: str
    kind: str
    name: str | None = None


class ReferenceGrant(msgspec.Struct, frozen=True, rename="camel"):
    """Permission for references from other namespaces into its own."""

    from_: tuple[GrantFrom, ...] = msgspec.field(name="from", default=())
    to: tuple[GrantTo, ...] = ()


def read_service(document: Mapping[str, Any]) -> Service:
    """A Service; raises `msgspec.ValidationError` on wrong types, as all readers here do."""
    return msgspec.convert(document.get("spec") or {}, Service)


def read_endpoint_slice(document: Mapping[str, Any]) -> EndpointSlice:
    """An EndpointSlice with the name of the Service it belongs to."""
    labels = (document.get("metadata") or {}).get("labels") or {}
    found = msgspec.convert(document, EndpointSlice)
    return msgspec.structs.replace(found, service=str(labels.get(SERVICE_NAME_LABEL, "")))


def read_secret(document: Mapping[str, Any]) -> Secret:
    """A Secret with its values decoded; `stringData` wins over `data` as it does at the API server."""
    encoded = msgspec.convert(document.get("data") or {}, dict[str, str])
    plain = msgspec.convert(document.get("stringData") or {}, dict[str, str])
    data: dict[str, bytes] = {}
    for key, value in encoded.items():
        try:
            data[key] = base64.b64decode(value, validate=False)
        except binascii.Error:
            raise msgspec.ValidationError(f"the value is not base64 - at `$.data.{key}`") from None
    data.update({key: value.encode() for key, value in plain.items()})
    return Secret(type=str(document.get("type", "Opaque")), data=data)


def read_config_map(document: Mapping[str, Any]) -> ConfigMap:
    """A ConfigMap."""
    return ConfigMap(data=msgspec.convert(document.get("data") or {}, dict[str, str]))


def read_namespace(document: Mapping[str, Any]) -> Namespace:
    """A Namespace; it always has the label Kubernetes itself sets."""
    metadata = document.get("metadata") or {}
    labels = msgspec.convert(metadata.get("labels") or {}, dict[str, str])
    return Namespace(labels={**labels, "kubernetes.io/metadata.name": str(metadata.get("name", ""))})


def read_reference_grant(document: Mapping[str, Any]) -> ReferenceGrant:
    """A ReferenceGrant of either group; both have the same shape."""
    return msgspec.convert(document.get("spec") or {}, ReferenceGrant)
