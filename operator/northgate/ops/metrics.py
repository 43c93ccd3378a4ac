"""What is measured of a control plane? Gauges read at the scrape, counters of what proxies answered; low cardinality.

No label names a node, a URL or a message: those are for logs and `northgate status`.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from northgate import __version__
from northgate.control import ControlPlane
from northgate.deliver.events import Acked, Event, Rejected
from northgate.deliver.ledger import ProxyReport, State
from northgate.ops.rendering import SHORT

_SHORT = {type_url: short for short, type_url in SHORT.items()}
_STATES = ("synced", "pending", "stale", "rejected")
_VERDICTS = {"True": "accepted", "False": "rejected", "Unknown": "pending"}


class PlaneMetrics:
    """The metrics of one control plane, in a registry of their own."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._registry = CollectorRegistry()
        self._responses = Counter(
            "northgate_xds_responses",
            "Configuration that proxies accepted (ack) or refused (nack).",
            ("type", "result"),
            registry=self._registry,
        )
        self._registry.register(self)
        plane.observers.append(self._note)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The gauges, as of now."""
        plane = self._plane
        yield _gauge("northgate_build_info", "Version that runs.", ("version",), {(__version__,): 1})
        statuses = plane.statuses()
        yield _gauge(
            "northgate_resources", "Objects by what became of them.", ("kind", "state"), _resources(statuses.items())
        )
        proxies = {"/".join(name): plane.proxies(name) for name in plane.gateways()}
        yield _gauge("northgate_xds_proxies", "Connected proxies by state.", ("gateway", "state"), _proxies(proxies))
        yield _gauge("northgate_xds_streams", "Open discovery streams.", (), {(): plane.server.streams()})
        revisions: dict[tuple[str, ...], float] = {("/".join(name),): n for name, n in plane.revisions.items()}
        yield _gauge("northgate_snapshot_revision", "Changes published to a gateway.", ("gateway",), revisions)
        failures = len(plane.edge.engine.failures)
        yield _gauge("northgate_compile_failures", "Results held back by a defect of Northgate.", (), {(): failures})

    def _note(self, event: Event) -> None:
        match event:
            case Acked():
                self._responses.labels(_SHORT.get(event.type_url, "other"), "ack").inc()
            case Rejected():
                self._responses.labels(_SHORT.get(event.type_url, "other"), "nack").inc()
            case _:
                pass


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _resources(statuses: Iterable[tuple[Any, Mapping[str, Any]]]) -> Mapping[tuple[str, ...], float]:
    found: Tally[tuple[str, ...]] = Tally()
    for key, status in statuses:
        ready = next((c["status"] for c in status["conditions"] if c["type"] == "Ready"), "Unknown")
        found[key.kind, _VERDICTS[ready]] += 1
    return found


def _proxies(gateways: Mapping[str, tuple[ProxyReport, ...]]) -> Mapping[tuple[str, ...], float]:
    found: Tally[tuple[str, ...]] = Tally({(name, state): 0 for name in gateways for state in _STATES})
    for name, proxies in gateways.items():
        for proxy in proxies:
            if proxy.connected:
                found[name, _state(proxy)] += 1
    return found


def _state(proxy: ProxyReport) -> str:
    states = {one.state for one in proxy.types.values()}
    for state, word in ((State.REJECTED, "rejected"), (State.STALE, "stale")):
        if state in states:
            return word
    return "pending" if states & {State.PENDING, State.NOT_SENT} else "synced"
