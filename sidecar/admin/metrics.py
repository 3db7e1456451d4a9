"""The Prometheus page: what is counted in memory, and both sums of the ledger.

Names start with `sidecar_` and hold their unit; whatever was lost or dropped is labelled with its `reason`. Rendered by
prometheus_client from plain numbers, on a registry of its own for each page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.kit.metrics import Counters

Labelled = tuple[str, Mapping[str, str], float]
"""A gauge's (name, labels, value)."""
_ENDED = ("matched", "filtered", "delivered", "dropped")
_THERE = ("pending", "dead")
_BY_REASON = ("filtered", "dropped")
_NOW = {
    "open": ("sidecar_exchanges_open", "Exchanges between request and receipt."),
    "relays": ("sidecar_relays", "Relays whose counts are on this page."),
}


class _Page(Collector):
    """Families by name, each sample with its own labels."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def count(self, name: str, help_text: str, labels: Mapping[str, str], value: float) -> None:
        family = self._families.setdefault(name, CounterMetricFamily(name, help_text))
        family.add_sample(f"{name}_total", dict(labels), value)

    def gauge(self, name: str, help_text: str, labels: Mapping[str, str], value: float) -> None:
        family = self._families.setdefault(name, GaugeMetricFamily(name, help_text))
        family.add_sample(name, dict(labels), value)

    def holds(self, name: str) -> bool:
        return name in self._families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families.values())


def render(
    counters: Counters,
    exchanges: Mapping[str, int | Mapping[str, int]],
    ledger: Mapping[str, Any],
    gauges: Mapping[str, float],
    labelled: Iterable[Labelled] = (),
) -> bytes:
    """The page. `exchanges` is the relays' sum, its losses by reason (`lost: {reason: n}` or `lost.reason: n`);
    `ledger` is the jobs' half of `/v1/ledger`; `gauges` are shown as they are, and so are `labelled` ones.
    """
    page = _Page()
    _add_exchanges(page, exchanges)
    _add_jobs(page, ledger)
    for name, value in gauges.items():
        page.gauge(name, "What holds now.", {}, value)
    for name, own_labels, value in labelled:
        page.gauge(name, "What holds now.", own_labels, value)
    own = {name for name, _, _ in counters if page.holds(name.removesuffix("_total"))}
    for name, labels, count in counters:
        if name not in own:
            page.count(name.removesuffix("_total"), "Since this process started.", dict(labels), count)
    registry = CollectorRegistry()
    registry.register(page)
    content: bytes = generate_latest(registry)
    return content


def _add_exchanges(page: _Page, exchanges: Mapping[str, int | Mapping[str, int]]) -> None:
    for name, value in exchanges.items():
        kind, _, reason = name.partition(".")
        by_reason = value if isinstance(value, Mapping) else {reason: value}
        for why, count in by_reason.items():
            labels = {"reason": why} if why else {}
            if kind in _NOW:
                page.gauge(*_NOW[kind], labels, count)
            else:
                page.count(f"sidecar_exchanges_{kind}", f"Exchanges {kind}, since the relay started.", labels, count)


def _add_jobs(page: _Page, ledger: Mapping[str, Any]) -> None:
    total, reasons = ledger.get("total", {}), ledger.get("reasons", {})
    for verdict in _ENDED:
        if verdict not in _BY_REASON:
            page.count(f"sidecar_jobs_{verdict}", f"Inputs {verdict}, ever.", {}, total.get(verdict, 0))
        for reason, count in reasons.get(verdict, {}).items():
            page.count(f"sidecar_jobs_{verdict}", f"Inputs {verdict}, ever.", {"reason": reason}, count)
    for state in _THERE:
        page.gauge(f"sidecar_jobs_{state}", f"Inputs {state} now.", {}, total.get(state, 0))
    for collector, sums in ledger.get("collectors", {}).items():
        for verdict in _ENDED:
            labels = {"collector": collector, "verdict": verdict}
            page.count("sidecar_collector_jobs", "Inputs of a collector, ever.", labels, sums.get(verdict, 0))
        for state in _THERE:
            labels = {"collector": collector, "state": state}
            page.gauge("sidecar_collector_jobs_waiting", "Inputs of a collector now.", labels, sums.get(state, 0))
