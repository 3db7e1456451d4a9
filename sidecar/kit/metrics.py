"""Counters and gauges as plain numbers, cheap enough for the relay; the engine renders them for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

Labels = tuple[tuple[str, str], ...]


class Counters:
    """Monotonic counts by name and labels. Not for threads: each loop has its own."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], int] = {}

    def add(self, name: str, count: int = 1, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self._counts[key] = self._counts.get(key, 0) + count

    def get(self, name: str, **labels: str) -> int:
        return self._counts.get((name, tuple(sorted(labels.items()))), 0)

    def __iter__(self) -> Iterator[tuple[str, Labels, int]]:
        """Each (name, labels, count), in the order of first use."""
        for (name, labels), count in self._counts.items():
            yield name, labels, count
