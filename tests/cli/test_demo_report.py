from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from sidecar.cli.demo import report
from sidecar.cli.demo.traffic import Latencies

LEDGER: dict[str, Any] = {
    "exchanges": {"seen": 1500, "unwanted": 700, "taken": 797, "lost": {"queue_full": 3}, "open": 0},
    "total": {"matched": 797, "filtered": 760, "delivered": 36, "dead": 0, "dropped": 1, "pending": 0},
    "reasons": {"filtered": {"pre_queue": 700, "post_queue": 60}, "dropped": {"no_output": 1}},
    "collectors": {},
}


def _ledger(**changes: Any) -> dict[str, Any]:
    """LEDGER with one leaf changed: `exchanges__seen=3`."""
    ledger = copy.deepcopy(LEDGER)
    for path, value in changes.items():
        part, _, name = path.partition("__")
        ledger[part][name] = value
    return ledger


def _text(renderable: RenderableType, columns: int = 100) -> str:
    console = Console(width=columns, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def is_accounted(ledger: Mapping[str, Any]) -> bool:
    """True if both sums hold."""
    return report.exchanges(ledger).holds and report.jobs(ledger).holds


def test_a_ledger_whose_sums_hold_is_accounted_settled_and_a_success() -> None:
    assert is_accounted(LEDGER)
    assert report.is_settled(LEDGER, sent=1500)
    assert report.faults(LEDGER, sent=1500) == []


@pytest.mark.parametrize(
    "leaf", ["exchanges__seen", "exchanges__taken", "exchanges__unwanted", "total__matched", "total__filtered",
             "total__delivered", "total__dead", "total__dropped"]
)  # fmt: skip
def test_one_count_too_many_anywhere_breaks_a_sum(leaf: str) -> None:
    part, _, name = leaf.partition("__")
    assert not is_accounted(_ledger(**{leaf: LEDGER[part][name] + 1}))


def test_a_lost_exchange_that_is_not_counted_breaks_the_sum() -> None:
    assert not is_accounted(_ledger(exchanges__lost={"queue_full": 2}))


def test_an_empty_ledger_is_no_success() -> None:
    assert report.faults({}, sent=0)


@pytest.mark.parametrize(
    "ledger",
    [
        pytest.param(_ledger(exchanges__open=1), id="an exchange is open"),
        pytest.param(_ledger(total__pending=1, total__delivered=35), id="a job is pending"),
        pytest.param(_ledger(exchanges__seen=1499, exchanges__unwanted=699), id="a call was not seen"),
    ],
)
def test_what_is_on_its_way_is_not_settled(ledger: dict[str, Any]) -> None:
    assert is_accounted(ledger)
    assert not report.is_settled(ledger, sent=1500)


def test_every_fault_is_said_at_once() -> None:
    ledger = _ledger(exchanges__open=2, exchanges__seen=1400, total__pending=36, total__delivered=0)
    assert report.faults(ledger, sent=1500) == [
        "the exchanges do not add up",
        "1,500 calls were sent, 1,400 seen",
        "2 exchanges are still open",
        "36 inputs are still in the queue",
        "nothing was delivered",
    ]


def test_nothing_delivered_is_no_success() -> None:
    ledger = _ledger(total__delivered=0, total__dead=36)
    assert report.is_settled(ledger, sent=1500)
    assert report.faults(ledger, sent=1500) == ["nothing was delivered"]


def test_the_tables_show_every_term_and_whether_the_sum_holds() -> None:
    text = _text(report.sum_table("Every exchange", report.exchanges(LEDGER)))
    for part in ("seen", "1,500", "unwanted", "700", "taken", "797", "lost", "queue_full 3", "the sum holds"):
        assert part in text
    text = _text(report.sum_table("Every input", report.jobs(_ledger(total__delivered=35))))
    for part in ("filtered, pre-queue", "filtered, post-queue", "no_output 1", "the sum does NOT hold", "796"):
        assert part in text


def test_a_reason_that_is_new_still_has_a_line_of_its_own() -> None:
    ledger = _ledger(reasons__filtered={"pre_queue": 700, "post_queue": 59, "quota": 1})
    assert report.jobs(ledger).holds
    assert [term.amount for term in report.jobs(ledger).terms[:3]] == [700, 59, 1]


def test_filtered_is_one_line_when_its_reasons_do_not_add_up_to_it() -> None:
    terms = report.jobs(_ledger(reasons__filtered={"pre_queue": 1})).terms
    assert [term.name for term in terms] == ["filtered", "delivered", "dead", "dropped", "pending"]
    assert terms[0].amount == 760


def test_every_line_fits_a_hundred_columns() -> None:
    latencies = Latencies((0.001, 0.002), (0.002, 0.004))
    tables = (
        report.sum_table("Every exchange", report.exchanges(LEDGER)),
        report.sum_table("Every input", report.jobs(LEDGER)),
        report.latency_table(latencies),
    )
    assert max(len(line) for table in tables for line in _text(table).splitlines()) <= 100


def test_a_narrow_terminal_breaks_the_lines_and_cuts_no_word() -> None:
    table = report.sum_table("Every input", report.jobs(LEDGER))
    narrow = _text(table, columns=70)
    assert max(len(line) for line in narrow.splitlines()) <= 70
    words = {word for term in report.jobs(LEDGER).terms for word in term.meaning.split()}
    assert words <= set(narrow.split())


def test_the_latency_table_shows_both_ways_and_the_difference() -> None:
    direct = tuple(index / 1e6 for index in range(1, 101))
    through = tuple(index / 1e6 + 0.0002 for index in range(1, 101))
    rows = [line.split() for line in _text(report.latency_table(Latencies(direct, through))).splitlines()]
    assert ["added", "+200", "+200"] in rows
    assert ["through", "the", "sidecar", "250", "299"] in rows


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_sample_that_the_fraction_does_not_exceed(samples: list[float], fraction: float) -> None:
    found = report.percentile(samples, fraction)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= fraction * len(samples)
    assert sum(sample < found for sample in samples) < fraction * len(samples)


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        report.percentile([], 0.5)
