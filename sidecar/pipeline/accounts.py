"""The relays' counts as people read them: the exchanges' half of the ledger, and counters for metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.kit.metrics import Counters

NOW = ("connections_open",)
EXCHANGES = ("seen", "unwanted", "taken", "open", "relays")


def exchange_sums(counts: Mapping[str, int]) -> dict[str, Any]:
    """`{"seen", "unwanted", "taken", "open", "lost": {reason: n}, "relays"}`: seen is the sum of the next four.

    `relays` is how many relays are in it, asked just now; 0 when none answered, and the sum has what was said last.
    """
    lost = {name.removeprefix("lost."): count for name, count in counts.items() if name.startswith("lost.") and count}
    return {**{name: counts.get(name, 0) for name in EXCHANGES}, "lost": lost}


def with_rows(counts: Mapping[str, int], rows: Mapping[str, int]) -> dict[str, int]:
    """The relays' counts and those of the exchanges that came as collected rows, summed."""
    return {**counts, **{name: counts.get(name, 0) + count for name, count in rows.items()}}


def relay_gauges(counts: Mapping[str, int]) -> dict[str, float]:
    """What holds in the relays now."""
    return {f"sidecar_relay_{name}": float(counts.get(name, 0)) for name in NOW}


def relay_counters(counts: Mapping[str, int], events: Counters) -> Counters:
    """What the engine's events counted, and what the relays counted besides exchanges."""
    counters = Counters()
    for name, labels, count in events:
        counters.add(name, count, **dict(labels))
    for name, count in counts.items():
        kind, _, reason = name.partition(".")
        if kind not in EXCHANGES and kind not in ("lost", *NOW):
            labelled = {"reason": reason} if reason else {}
            counters.add(f"sidecar_relay_{kind.removesuffix('_total')}_total", count, **labelled)
    return counters
