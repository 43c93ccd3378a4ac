"""Which bad inputs are there? The corpus, each case as the files a user would have written, and what they are told.

A case says its input in one of these ways; `…` in a sentence stands for any text.

| key | the file is |
|---|---|
| `file` | this text; `also` is a second file beside it |
| `json` | this text, in a file that ends in `.json` |
| `hex` | these bytes |
| `route`, `upstream`, `gateway` | an object of that kind in namespace `bad`, named as the case; this is its spec |
| `rules` | a Route for `<case>.bad.test` on the good gateway; these are its rules |

`told` are the findings of `northgate validate` without the file's name: line, column, severity, object, field and
sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

HERE = Path(__file__).parent
KINDS = {"route": "Route", "upstream": "Upstream", "gateway": "EdgeGateway"}


@dataclass(frozen=True, slots=True)
class Case:
    """One bad input: the content of each file by its name, and the findings it must give, by `file:line:column: …`."""

    name: str
    group: str
    files: Mapping[str, bytes]
    told: tuple[str, ...]

    def write(self, folder: Path) -> list[Path]:
        """Write the files into a folder."""
        paths = [folder / name for name in self.files]
        for path, content in zip(paths, self.files.values(), strict=True):
            path.write_bytes(content)
        return paths


def object_text(kind: str, name: str, spec: str) -> str:
    head = f"apiVersion: northgate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: bad}}\n"
    return f"{head}spec:\n{indent(spec, '  ')}"


def rules_text(name: str, rules: str) -> str:
    spec = f"parentRefs: [{{name: edge, namespace: edge}}]\nhostnames: [{name}.bad.test]\nrules:\n{rules}"
    return object_text("Route", name, spec)


def _files(entry: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    name = entry["case"]
    match entry:
        case {"hex": digits}:
            yield f"{name}.yaml", bytes.fromhex(digits)
        case {"json": text}:
            yield f"{name}.json", text.encode()
        case {"file": text}:
            yield f"{name}.yaml", text.encode("utf-8", "surrogatepass")
        case {"rules": text}:
            yield f"{name}.yaml", rules_text(name, text).encode()
        case _:
            (kind,) = KINDS.keys() & entry.keys()
            yield f"{name}.yaml", object_text(KINDS[kind], name, entry[kind]).encode()
    if "also" in entry:
        yield f"{name}-also.yaml", entry["also"].encode()


def _read(path: Path) -> Iterator[Case]:
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        files = dict(_files(entry))
        first = next(iter(files))
        told = (line if line.startswith(f"{entry['case']}-also") else f"{first}:{line}" for line in entry["told"])
        yield Case(entry["case"], path.stem, files, tuple(told))


CORPUS: tuple[Case, ...] = tuple(case for path in sorted(HERE.glob("corpus/*.yaml")) for case in _read(path))


def as_told(sentence: str, found: str) -> bool:
    """Whether a finding is the expected sentence, in which `…` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, sentence.split("…"))), found) is not None
