"""Which files are made from the code? CRDs, reference pages and the README's feature table. `--check` only compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path
from typing import Any

from northgate.api import crds
from northgate.api.conditions import Reason
from northgate.api.expected import expected
from northgate.api.kustomize import merge_schema
from northgate.api.parse import SPECS
from northgate.api.route import FEATURES, Rule
from northgate.api.schema import structural

ROOT = Path(__file__).parents[1]
Schema = dict[str, Any]
_MARK = "<!-- features: made by `make generate` -->"


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    found = {ROOT / "crds" / name: text for name, text in crds.generate().items()}
    found |= {ROOT / "docs/reference/features" / f"{name}.md": page for name, page in feature_pages()}
    found[ROOT / "deploy/gitops/kustomize/fra1/northgate-openapi.json"] = merge_schema()
    found[ROOT / "docs/reference/fields.md"] = fields_page()
    found[ROOT / "docs/reference/conditions.md"] = conditions_page()
    found[ROOT / "README.md"] = readme((ROOT / "README.md").read_text(encoding="utf-8"))
    return found


def modules() -> dict[str, list[str]]:
    """The rule fields of each feature module, by the module's name."""
    found: dict[str, list[str]] = {}
    for field, feature in FEATURES.items():
        found.setdefault(feature.__module__.rpartition(".")[2], []).append(Rule.model_fields[field].alias or field)
    return found


def feature_pages() -> Iterator[tuple[str, str]]:
    """A page for each feature module."""
    rule = structural(Rule)["properties"]
    for name, fields in sorted(modules().items()):
        module = sys.modules[f"northgate.features.{name}"]
        question, _, prose = (getdoc(module) or "").partition("\n")
        parts = [f"# {question}", prose.strip(), *(_block(field, rule[field]) for field in fields), *_example(name)]
        yield name, "\n\n".join(part for part in parts if part) + "\n"


def _block(field: str, schema: Schema) -> str:
    rows = list(_rows(f"rules[].{field}", schema))
    return f"## `{field}`\n\n{schema['description']}\n\n{_table(rows)}" + _rules(schema)


def _rows(path: str, schema: Schema) -> Iterator[tuple[str, str, str]]:
    required = set(schema.get("required", ()))
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        need = " **required**" if name in required else ""
        yield f"`{here}`", _cell(_takes(inner)) + need, _cell(inner.get("description", ""))
        yield from _rows(here, inner)
        if "items" in inner:
            yield from _rows(f"{here}[]", inner["items"])


def _takes(schema: Schema) -> str:
    if "items" not in schema:
        return expected(schema)
    return f"a list of up to {schema['maxItems']}, each {expected(schema['items'])}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return "It has no fields: write `{}`."
    lines = ["| field | takes | meaning |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    return "\n".join(lines)


def _rules(schema: Schema) -> str:
    rules = [rule["message"] for rule in _all_rules(schema)]
    return "\n\n" + "\n".join(f"- {message}" for message in dict.fromkeys(rules)) if rules else ""


def _all_rules(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("x-kubernetes-validations", ())
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _all_rules(inner)


def example_of(module: str) -> Path | None:
    """The example of a feature module, if there is one."""
    path = ROOT / "examples" / f"{module.replace('_', '-')}.yaml"
    return path if path.exists() else None


def _example(module: str) -> Iterator[str]:
    path = example_of(module)
    if path is not None:
        text = path.read_text(encoding="utf-8").strip()
        link = f"[`examples/{path.name}`](../../../examples/{path.name})"
        yield f"## Example\n\n{link}; the requests in its header are run against a real Envoy.\n\n```yaml\n{text}\n```"


def fields_page() -> str:
    """All fields of all kinds."""
    parts = ["# Fields", "Every field of every kind, what it takes and what it means."]
    for kind, spec in SPECS.items():
        schema = structural(spec)
        parts.append(f"## {kind}\n\n{_table(list(_rows('spec', schema)))}{_rules(schema)}")
    return "\n\n".join(parts) + "\n"


def conditions_page() -> str:
    """Every reason a condition can have."""
    rows = "\n".join(f"- `{reason}`" for reason in Reason)
    return (
        "# Reasons\n\nThe reasons of conditions, a closed set. What to do about each is told in "
        f"[troubleshooting](../troubleshooting.md).\n\n{rows}\n"
    )


def readme(text: str) -> str:
    """The README with its feature table renewed."""
    rows = ["| feature | what it answers | example |", "|---|---|---|"]
    for name, fields in sorted(modules().items(), key=lambda item: item[1]):
        question = (getdoc(sys.modules[f"northgate.features.{name}"]) or "").partition("\n")[0]
        path = example_of(name)
        shown = ", ".join(f"`{field}`" for field in fields)
        link = f"[{path.name}](examples/{path.name})" if path else ""
        rows.append(f"| [{shown}](docs/reference/features/{name}.md) | {question} | {link} |")
    table = "\n".join(rows)
    return re.sub(f"{_MARK}.*?{_MARK}", lambda _: f"{_MARK}\n{table}\n{_MARK}", text, flags=re.DOTALL)


def main() -> int:
    """Write the files, or with `--check` say which are not as they would be written."""
    wanted = files()
    folder = ROOT / "docs/reference/features"
    orphans = [path for path in folder.glob("*.md") if path not in wanted] if folder.exists() else []
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in (*stale, *orphans):
            print(f"{path.relative_to(ROOT)} is not as the code makes it; run `make generate`", file=sys.stderr)
        return 1 if stale or orphans else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in orphans:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
