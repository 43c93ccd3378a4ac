"""What do some files mean together? The same core as the servers', on a folder, files or standard input, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from northgate.api.parse import known
from northgate.files.documents import Document, FileProblem, duplicate, read_documents
from northgate.files.folder import Folder
from northgate.snapshot.edge import Edge
from northgate.world.key import ObjectKey

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Reading:
    """Documents by key, what is wrong with the files themselves, and the core that took the documents in."""

    documents: Mapping[ObjectKey, Document]
    problems: tuple[FileProblem, ...]
    edge: Edge

    def unknown(self) -> Iterator[Document]:
        """Documents of kinds Northgate does not read."""
        return (one for one in self.documents.values() if not known(one.key.group, one.key.kind))


def read_sources(sources: Sequence[str], stdin: bytes = b"") -> Reading:
    """Read folders, files and `-`, whose content is given as `stdin`."""
    documents: dict[ObjectKey, Document] = {}
    problems: list[FileProblem] = []
    for source in sources:
        found, wrong = _read(source, stdin)
        problems.extend(wrong)
        for document in found:
            first = documents.setdefault(document.key, document)
            if first is not document:
                problems.append(duplicate(document, first))
    edge = Edge()
    edge.apply((key, one.raw) for key, one in documents.items() if known(key.group, key.kind))
    return Reading(documents, tuple(problems), edge)


def _read(source: str, stdin: bytes) -> tuple[tuple[Document, ...], tuple[FileProblem, ...]]:
    path = Path(source)
    if source != STDIN and path.is_dir():
        state = Folder(path).read()
        return tuple(state.documents.values()), state.problems
    try:
        content = read_documents(source, stdin if source == STDIN else path.read_bytes())
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        return (), (FileProblem(source, 1, 1, (), f"{reason}; name an existing folder or file"),)
    return content.documents, content.problems
