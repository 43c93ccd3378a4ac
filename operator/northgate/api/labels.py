"""What may the names and values of labels and annotations be? Bounded string types, as the API server reads them."""

from __future__ import annotations

from typing import Annotated

from northgate.api.base import text

LabelValue = Annotated[str, text(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", 63, 0)]
LabelName = Annotated[str, text(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", 317)]
AnnotationValue = Annotated[str, text(r"[\x20-\x7e]*", 2048, 0)]
"""Printable ASCII."""
