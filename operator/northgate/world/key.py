"""What is an object called? By its API group, kind, namespace and name, whatever source it came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """The identity of one object. `group` is empty for the core group, `namespace` for objects that have none.

    The version of the API is not part of it: the same object read in two versions is one object.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
