"""The ledger's sums and its JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.queue.ledger import Ledger, Sums, build_ledger


def test_the_json_has_the_documented_shape() -> None:
    rows = [
        ("a", "matched", "", 10),
        ("a", "filtered", "pre_queue", 4),
        ("a", "filtered", "post_queue", 1),
        ("a", "delivered", "", 2),
        ("a", "pending", "", 1),
        ("a", "pending", "timeout", 1),
        ("b", "matched", "", 2),
        ("b", "dead", "too_large", 1),
        ("b", "dropped", "no_output", 1),
        ("a", "dropped", "no_output", 1),
    ]
    assert build_ledger(rows).to_json() == {
        "total": {"matched": 12, "filtered": 5, "delivered": 2, "dead": 1, "dropped": 2, "pending": 2},
        "reasons": {
            "filtered": {"post_queue": 1, "pre_queue": 4},
            "dropped": {"no_output": 2},
            "dead": {"too_large": 1},
            "pending": {"": 1, "timeout": 1},
        },
        "collectors": {
            "a": {"matched": 10, "filtered": 5, "delivered": 2, "dead": 0, "dropped": 1, "pending": 2},
            "b": {"matched": 2, "filtered": 0, "delivered": 0, "dead": 1, "dropped": 1, "pending": 0},
        },
    }


def test_an_empty_ledger_holds() -> None:
    assert build_ledger([]).holds
    assert Ledger().holds


def test_faults_that_cancel_out_are_still_faults() -> None:
    ledger = build_ledger([("a", "matched", "", 1), ("b", "delivered", "", 1)])
    assert ledger.total.holds
    assert not ledger.holds


@pytest.mark.parametrize("name", ["filtered", "delivered", "dead", "dropped", "pending"])
@given(count=st.integers(1, 10**6))
def test_every_verdict_is_in_the_sum(name: str, count: int) -> None:
    assert Sums(matched=count, **{name: count}).holds
    assert not Sums(matched=count + 1, **{name: count}).holds
