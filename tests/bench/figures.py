"""Figures and what is made of them: percentiles, spreads, ratios of paired rounds, floors and goals. Pure.

A ratio is taken within each round, where both had the same machine at the same time, and then its median; so what the
machine's other users did to a whole round is in neither.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MISSED, FLOOR, GOAL = VERDICTS = ("missed", "floor", "goal")
"""From the worst to the best."""
UNBOUNDED = 1000.0
"""The ratio to nothing or to less than nothing: what the peer added was lost in the noise."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median between its quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure with what it is judged by; None where there is no floor or no goal."""

    ours: str
    theirs: str
    measured: Spread
    floor: float | None = None
    goal: float | None = None
    unit: str = ""
    """Blank: a ratio to theirs."""
    goal_is_noise: bool = False
    """The goal is met when the lower quartile is within it."""

    @property
    def verdict(self) -> str:
        """`goal` when all that was set is met, `floor` when the goal alone is not or was not set, else `missed`."""
        if self.floor is not None and self.measured.median > self.floor:
            return MISSED
        best = self.measured.low if self.goal_is_noise else self.measured.median
        return GOAL if self.goal is not None and best <= self.goal else FLOOR


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that `share` of them do not exceed; 0 of none."""
    if not ordered:
        return 0.0
    at = min(max(-int(-share * len(ordered) // 1) - 1, 0), len(ordered) - 1)
    return ordered[at]


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; of one value, that value. Raises StatisticsError for none."""
    if len(values) < 2:
        return Spread(*([statistics.fmean(values)] * 3))
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The spread of ours over theirs, round by round."""
    return spread([_ratio(one, other) for one, other in zip(ours, theirs, strict=True)])


def compared(
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    *,
    floor: float | None,
    goal: float | None,
    goal_is_noise: bool = False,
) -> Measure:
    """Ours against theirs in rounds that were paired, both in `unit`."""
    shown = quantity(ours, unit), quantity(theirs, unit)
    return Measure(*shown, ratios(ours, theirs), floor, goal, goal_is_noise=goal_is_noise)


def absolute(values: Sequence[float], unit: str, *, floor: float | None, goal: float | None) -> Measure:
    """Ours by itself, in `unit`."""
    return Measure(quantity(values, unit), "–", spread(values), floor, goal, unit)


def quantity(values: Sequence[float], unit: str) -> str:
    """The median in its unit, as people read it."""
    return f"{number(statistics.median(values))} {unit}".strip()


def added(values: Sequence[float], direct: Sequence[float]) -> list[float]:
    """What each round added to the direct call of the same round."""
    return [value - without for value, without in zip(values, direct, strict=True)]


def _ratio(ours: float, theirs: float) -> float:
    """Less than nothing, as what was added may be in the noise, is nothing."""
    if theirs > 0:
        return min(max(ours, 0.0) / theirs, UNBOUNDED)
    return UNBOUNDED if ours > 0 else 1.0


def number(value: float) -> str:
    """Three significant digits, or all before the point: 1,234, 123, 12.3, 1.23; 0."""
    digits = 0 if not value or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
