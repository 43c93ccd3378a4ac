"""What does Northgate read of Kubernetes' own kinds? Services, endpoints, Secrets, namespaces and grants, no more."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from northgate.api.conditions import Path

SERVICE_NAME_LABEL = "kubernetes.io/service-name"

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Read = TypeVar("Read")


class ShapeError(ValueError):
    """A document is not of its kind's shape: at `path`, and one sentence with the remedy that repeats no value."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class ServicePort(msgspec.Struct, frozen=True, rename="camel"):
    """A port of a Service."""

    port: Port
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

    port: Port | None = None
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
    """A Service; raises `ShapeError` on wrong types, as all readers here do."""
    return _convert(document.get("spec"), Service, ("spec",))


def read_endpoint_slice(document: Mapping[str, Any]) -> EndpointSlice:
    """An EndpointSlice with the name of the Service it belongs to."""
    labels = _labels(document)
    # Kubernetes writes lists without entries as null.
    present = {field: value for field, value in document.items() if value is not None}
    return msgspec.structs.replace(_convert(present, EndpointSlice), service=labels.get(SERVICE_NAME_LABEL, ""))


def read_secret(document: Mapping[str, Any]) -> Secret:
    """A Secret with its values decoded; `stringData` wins over `data` as it does at the API server."""
    data = {key: _decoded(key, value) for key, value in _texts(document.get("data"), "data").items()}
    data.update({key: value.encode() for key, value in _texts(document.get("stringData"), "stringData").items()})
    return Secret(type=str(document.get("type", "Opaque")), data=data)


def _decoded(key: str, value: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        message = "the value is not base64; encode it, or write it as it is under stringData"
        raise ShapeError(("data", key), message) from None


def read_config_map(document: Mapping[str, Any]) -> ConfigMap:
    """A ConfigMap."""
    return ConfigMap(data=_texts(document.get("data"), "data"))


def read_namespace(document: Mapping[str, Any]) -> Namespace:
    """A Namespace; it always has the label Kubernetes itself sets."""
    metadata = document.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
    return Namespace(labels={**_labels(document), "kubernetes.io/metadata.name": str(name)})


def read_reference_grant(document: Mapping[str, Any]) -> ReferenceGrant:
    """A ReferenceGrant of either group; both have the same shape."""
    return _convert(document.get("spec"), ReferenceGrant, ("spec",))


def _labels(document: Mapping[str, Any]) -> dict[str, str]:
    metadata = document.get("metadata")
    return _texts(metadata.get("labels"), "metadata", "labels") if isinstance(metadata, Mapping) else {}


def _texts(found: Any, *path: str) -> dict[str, str]:
    """A block of names and texts; none at all when it is absent."""
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ShapeError(path, f"{_KINDS[_kind(found)]} stands here; write a block of names and texts")
    for key, value in found.items():
        if not isinstance(value, str):
            raise ShapeError((*path, key), f"{_KINDS[_kind(value)]} stands here; write text, in quotes if need be")
    return dict(found)


def _kind(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float", str: "str", list: "array", dict: "object"}.get(
        type(value), "null"
    )


_AT = re.compile(r"(.*) - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_EXPECTED = re.compile(r"Expected `(.+)`, got `(.+)`")
_BOUND = re.compile(r"Expected `int` ([<>]=) (\d+)")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_KINDS = {
    "int": "a number",
    "float": "a number",
    "str": "text",
    "bool": "a boolean",
    "array": "a list",
    "object": "a block of fields",
    "null": "nothing",
}
_WANTED = {**_KINDS, "int": "a whole number", "bool": "true or false", "array": 'a list: begin each entry with "- "'}


def _convert(found: Any, kind: type[Read], path: Path = ()) -> Read:
    """A value of `kind`; absent is the same as empty."""
    try:
        return msgspec.convert({} if found is None else found, kind)
    except msgspec.ValidationError as error:
        at = _AT.match(str(error))
        said, where = (at[1], at[2]) if at else (str(error), "")
        steps = (name or (int(index) if index.isdigit() else index) for name, index in _STEP.findall(where))
        raise ShapeError((*path, *steps), _worded(said)) from None


def _worded(said: str) -> str:
    if found := _EXPECTED.fullmatch(said):
        wanted = found[1].partition(" | ")[0]
        return f"{_KINDS.get(found[2], found[2])} stands here; write {_WANTED.get(wanted, wanted)}"
    if found := _BOUND.fullmatch(said):
        return f"the number is out of range; write one of at {'least' if found[1] == '>=' else 'most'} {found[2]}"
    if found := _MISSING.fullmatch(said):
        return f"the field {found[1]} is missing; add it"
    return said
