"""Which models make up the API? The specs and statuses of all kinds and every block inside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from northgate.api.base import Model
from northgate.api.crds import KINDS


def _inside(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _inside(field.annotation)
    for argument in get_args(annotation):
        yield from _inside(argument)


MODELS: tuple[type[Model], ...] = tuple(
    dict.fromkeys(model for kind in KINDS for root in (kind.spec, kind.status) for model in _inside(root))
)
