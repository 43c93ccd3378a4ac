"""Northgate: an Envoy edge for points of presence."""

__version__ = "0.1.0"
