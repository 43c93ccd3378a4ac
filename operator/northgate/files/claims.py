"""Which gateway has a port of this machine? The one that served it first; others are held back until it is free.

Proxies of several gateways can bind one port, and the kernel would then share its connections out among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.parse import GROUP, parse
from northgate.files.documents import Document, FileProblem
from northgate.world.key import ObjectKey


class Claims:
    """Remembers which gateway has which port. `bound` says which port is really bound for a listener's."""

    def __init__(self, bound: Callable[[int], int]) -> None:
        self._bound = bound
        self._ports: dict[ObjectKey, frozenset[int]] = {}
        self._waiting: dict[ObjectKey, Document] = {}

    def admit(self, put: Iterable[Document], removed: Iterable[ObjectKey]) -> tuple[Document, ...]:
        """The documents that may be taken in: all but gateways whose port another one has, and those that waited."""
        for key in removed:
            self._ports.pop(key, None)
            self._waiting.pop(key, None)
        admitted = [one for one in put if not _is_gateway(one.key)]
        self._waiting.update((one.key, one) for one in put if _is_gateway(one.key))
        while admissible := [self._waiting[key] for key in sorted(self._waiting) if self._free(self._waiting[key])]:
            # One at a time: each changes what is free for the next.
            first = admissible[0]
            del self._waiting[first.key]
            self._ports[first.key] = self._wanted(first) or self._ports.get(first.key, frozenset())
            admitted.append(first)
        return tuple(admitted)

    def problems(self) -> Iterator[FileProblem]:
        """Why gateways are held back."""
        for _, document in sorted(self._waiting.items()):
            for index, port in self._listed(document):
                if (owner := self._owner(port, document.key)) is not None:
                    path = ("spec", "listeners", index, "port")
                    message = (
                        f"port {port} of this machine belongs to {owner}, so use another port or --port; "
                        f"{document.key} is not taken in until it is free"
                    )
                    yield FileProblem(document.file, *document.position(path), path, message)

    def _free(self, document: Document) -> bool:
        return all(self._owner(port, document.key) is None for port in self._wanted(document))

    def _owner(self, port: int, but: ObjectKey) -> ObjectKey | None:
        return next((key for key, ports in self._ports.items() if port in ports and key != but), None)

    def _wanted(self, document: Document) -> frozenset[int]:
        return frozenset(port for _, port in self._listed(document))

    def _listed(self, document: Document) -> Iterator[tuple[int, int]]:
        """Index and bound port of each listener; nothing of a gateway that cannot be read."""
        spec: EdgeGatewaySpec | None = parse(GROUP, "EdgeGateway", document.raw).spec
        for index, listener in enumerate(spec.listeners if spec is not None else ()):
            yield index, self._bound(listener.port)


def _is_gateway(key: ObjectKey) -> bool:
    return (key.group, key.kind) == (GROUP, "EdgeGateway")
