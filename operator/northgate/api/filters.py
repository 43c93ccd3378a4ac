"""Which HTTP filters do several features use? Each is defined once, so that it stands once in a chain."""

from __future__ import annotations

from typing import Final

from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault

from northgate.api.feature import HttpFilter

FAULT: Final = HttpFilter("envoy.filters.http.fault", HTTPFault)
"""Delays, aborts or slows requests; routes bring their own `HTTPFault`."""
