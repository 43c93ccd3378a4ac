"""Which kinds does the API server learn? Those of the committed CRDs, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parents[3] / "crds"


@cache
def definitions() -> tuple[dict[str, Any], ...]:
    """Every CustomResourceDefinition as written; not to be changed."""
    return tuple(yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(CRDS.glob("*.yaml")))
