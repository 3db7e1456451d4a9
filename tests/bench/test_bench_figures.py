"""Figures: percentiles, spreads, ratios, and whether a floor or a goal is met."""

from __future__ import annotations

import pytest
from figures import UNBOUNDED, Measure, Spread, absolute, added, compared, number, percentile, ratios, spread
from findings import Row


@pytest.mark.parametrize(("share", "found"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(share: float, found: int) -> None:
    assert percentile(range(1, 101), share) == found


def test_a_percentile_of_few_values_is_one_of_them() -> None:
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0], 0.5) == 1.0
    assert percentile([], 0.5) == 0.0


def test_a_spread_is_the_median_between_its_quartiles() -> None:
    assert spread([5, 1, 2, 4, 3]) == Spread(3, 2, 4)
    assert spread([2.5]) == Spread(2.5, 2.5, 2.5)


def test_a_ratio_is_taken_round_by_round() -> None:
    busy, quiet = 10.0, 1.0
    assert ratios([busy * 2, quiet * 2, quiet], [busy, quiet, quiet]).median == 2
    assert ratios([3, 9, 27], [3, 3, 3]) == Spread(3, 2, 6)


def test_a_ratio_to_nothing_counts_against_us() -> None:
    assert ratios([5.0], [-1.0]).median == UNBOUNDED
    assert ratios([-5.0], [-1.0]).median == 1.0
    assert ratios([-5.0], [2.0]).median == 0.0


def test_what_is_added_is_over_the_direct_call_of_the_same_round() -> None:
    assert added([10, 20], [4, 15]) == [6, 5]


@pytest.mark.parametrize(
    ("floor", "goal", "verdict"),
    [(2.0, 1.5, "goal"), (2.0, 1.0, "floor"), (1.4, 1.0, "missed"), (2.0, None, "floor"), (None, 1.0, "floor")],
)
def test_the_verdict_is_the_best_that_is_met(floor: float | None, goal: float | None, verdict: str) -> None:
    assert compared([3.0], [2.0], "µs", floor=floor, goal=goal).verdict == verdict


def test_a_goal_that_is_noise_is_met_by_the_lower_quartile() -> None:
    measure = Measure("", "", Spread(1.05, 0.9, 1.2), floor=1.1, goal=1.0, goal_is_noise=True)
    assert measure.verdict == "goal"
    assert Measure("", "", Spread(1.05, 1.01, 1.2), floor=1.1, goal=1.0, goal_is_noise=True).verdict == "floor"
    assert Measure("", "", Spread(1.15, 0.9, 1.2), floor=1.1, goal=1.0, goal_is_noise=True).verdict == "missed"


def test_the_verdict_of_a_line_is_its_worst() -> None:
    good, bad = absolute([0], "lost", floor=0, goal=0), absolute([1], "lost", floor=0, goal=0)
    assert Row("", "", (good, good)).verdict == "goal"
    assert Row("", "", (good, bad)).verdict == "missed"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_a_number_has_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text
