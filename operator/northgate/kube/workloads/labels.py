"""What are the objects of a gateway called, and how are they known as ours? Names, labels, owners: minted here."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from northgate.kube.workloads.gateway import Gateway

Document = dict[str, Any]

_LONGEST = 63
_HASH = 8
_PREFIX = "northgate-"

MANAGER = "northgate"
"""The field manager of everything that is written, and the value of `app.kubernetes.io/managed-by`."""
CERTIFICATE = "certificate"
"""Suffix of the Secret with the certificate a gateway's proxies show to the control plane."""


def child_name(gateway: Gateway) -> str:
    """The name of a gateway's objects, a DNS label; different for different gateways of a namespace."""
    plain = gateway.name.replace(".", "-")
    name = _PREFIX + plain
    return name if plain == gateway.name and len(name) <= _LONGEST - _HASH - 5 else _shortened(name, gateway.name)


def certificate_name(gateway: Gateway) -> str:
    """The name of the Secret with the certificate of a gateway's proxies."""
    return f"{child_name(gateway)}-{CERTIFICATE}"


def selector(gateway: Gateway) -> dict[str, str]:
    """The labels that select a gateway's pods. They never change: a selector cannot."""
    return {
        "app.kubernetes.io/name": "northgate-proxy",
        "app.kubernetes.io/instance": child_name(gateway),
        "northgate.dev/owning-gateway-name": label_value(gateway.name),
        "northgate.dev/owning-gateway-namespace": gateway.namespace,
    }


def labels(gateway: Gateway) -> dict[str, str]:
    """The labels of a gateway's objects."""
    return {
        **selector(gateway),
        "app.kubernetes.io/component": "proxy",
        "app.kubernetes.io/part-of": "northgate",
        "app.kubernetes.io/managed-by": MANAGER,
    }


def label_value(name: str) -> str:
    """A name as a label's value, which is shorter than a name may be."""
    return name if len(name) <= _LONGEST else _shortened(name, name)


def metadata(gateway: Gateway, name: str = "") -> Document:
    """The metadata of an object of a gateway, which is collected as garbage when the gateway is gone."""
    return {
        "name": name or child_name(gateway),
        "namespace": gateway.namespace,
        "labels": labels(gateway),
        "ownerReferences": [owner(gateway)],
    }


def owner(gateway: Gateway) -> Document:
    """The reference to the gateway that owns an object. To block its deletion would take rights on finalizers."""
    return {
        "apiVersion": "northgate.dev/v1alpha1",
        "kind": "EdgeGateway",
        "name": gateway.name,
        "uid": gateway.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _shortened(name: str, whole: str) -> str:
    """Cut so that a suffix fits, and told from others that begin alike by a hash."""
    digest = blake2b(whole.encode(), digest_size=_HASH // 2).hexdigest()
    return f"{name[: _LONGEST - _HASH - 14].rstrip('-.')}-{digest}"
