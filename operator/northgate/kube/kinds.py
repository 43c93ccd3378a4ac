"""Which kinds are read, and where? Northgate's own, what they refer to, in all namespaces or in those allowed."""

from __future__ import annotations

from dataclasses import dataclass

from northgate.api.crds import KINDS as OWN_KINDS
from northgate.api.parse import GROUP, VERSION
from northgate.world.key import ObjectKey

EVERYWHERE = ""
"""The place that is all namespaces."""


@dataclass(frozen=True, slots=True)
class Served:
    """A group and version under which an API server may serve a kind."""

    group: str
    version: str

    @property
    def api_version(self) -> str:
        """As objects write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path below the server's URL."""
        return f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is read. The first of `served` that the API server has is the one.

    `own`: a kind of Northgate's, whose changes the handlers bring. `selective`: only objects that are referred to are
    kept. `optional`: an API server without the kind has none of its objects. `fields` narrows what is listed.
    """

    name: str
    plural: str
    served: tuple[Served, ...]
    own: bool = False
    selective: bool = False
    optional: bool = False
    namespaced: bool = True
    fields: str = ""

    def key(self, group: str, namespace: str, name: str) -> ObjectKey:
        """The key of an object of this kind."""
        return ObjectKey(group, self.name, namespace if self.namespaced else "", name)

    def path(self, served: Served, place: str, name: str = "") -> str:
        """The path of the objects at a place, or of one of them."""
        below = f"{served.root}/namespaces/{place}" if self.namespaced and place else served.root
        return f"{below}/{self.plural}/{name}" if name else f"{below}/{self.plural}"


_CORE = (Served("", "v1"),)
_OWN = (Served(GROUP, VERSION.removeprefix(f"{GROUP}/")),)

KINDS: tuple[Kind, ...] = (
    *(Kind(kind.name, kind.plural, _OWN, own=True) for kind in OWN_KINDS),
    Kind("Service", "services", _CORE),
    Kind("EndpointSlice", "endpointslices", (Served("discovery.k8s.io", "v1"),)),
    # The records of releases are the largest Secrets of a cluster, and nothing can refer to them.
    Kind("Secret", "secrets", _CORE, selective=True, fields="type!=helm.sh/release.v1"),
    Kind("ConfigMap", "configmaps", _CORE, selective=True),
    Kind("Namespace", "namespaces", _CORE, namespaced=False),
    Kind(
        "ReferenceGrant",
        "referencegrants",
        (Served("gateway.networking.k8s.io", "v1beta1"), Served("gateway.networking.k8s.io", "v1"), *_OWN),
        optional=True,
    ),
)
"""Every kind that is read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What this installation may read: `namespaces`, and Secrets in `secrets`; None is everywhere.

    Secrets are read nowhere unless that is said.
    """

    namespaces: tuple[str, ...] | None = None
    secrets: tuple[str, ...] | None = ()

    def __post_init__(self) -> None:
        if self.namespaces == ():
            raise ValueError("no namespace is allowed to be read; name one, or allow all")

    def places(self, kind: Kind) -> tuple[str, ...]:
        """Where a kind is read: names of namespaces, or EVERYWHERE alone.

        For Namespace itself they are the names of those that are read, one by one.
        """
        allowed = self.secrets if kind.name == "Secret" else self.namespaces
        return (EVERYWHERE,) if allowed is None else tuple(sorted(set(allowed)))

    def place(self, kind: Kind, namespace: str) -> str:
        """The place at which an object in this namespace is read."""
        return EVERYWHERE if self.places(kind) == (EVERYWHERE,) else namespace
