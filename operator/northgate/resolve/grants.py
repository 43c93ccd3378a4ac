"""How do grants decide whether an object may refer to another namespace?"""

from __future__ import annotations

from typing import NamedTuple

from northgate.api.kubernetes import ReferenceGrant
from northgate.api.parse import GROUP
from northgate.world.store import World


class Reference(NamedTuple):
    """A reference from an object of a Northgate kind to an object of any kind."""

    from_kind: str
    from_namespace: str
    to_group: str
    to_kind: str
    to_namespace: str
    to_name: str

    def refused(self) -> str:
        """The sentence for a reference that no grant permits."""
        return (
            f"{self.to_kind} {self.to_namespace}/{self.to_name} is in another namespace; "
            f"a ReferenceGrant in namespace {self.to_namespace} must allow {self.from_kind} from {self.from_namespace}"
        )


def permitted(world: World, reference: Reference) -> bool:
    """True inside one namespace, or when a grant in the other one names both sides."""
    if reference.from_namespace == reference.to_namespace:
        return True
    keys = world.grants_of_namespace.bucket(reference.to_namespace)
    return any(_allows(world.grants[key].spec, reference) for key in keys)


def _allows(grant: ReferenceGrant, reference: Reference) -> bool:
    source = any(
        f.group == GROUP and f.kind == reference.from_kind and f.namespace == reference.from_namespace
        for f in grant.from_
    )
    return source and any(
        t.group == reference.to_group and t.kind == reference.to_kind and t.name in (None, "", reference.to_name)
        for t in grant.to
    )
