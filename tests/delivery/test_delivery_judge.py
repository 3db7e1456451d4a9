"""What an answer means, by code first and then by HTTP status."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.judge import TRANSIENT_CODES, Answer, judge, read_retry_after
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry

NOW = 1_700_000_000.0


def answer(
    http_status: int, code: object = None, inputs: object = None, *, details: str = "", after: str = ""
) -> Answer:
    wire: dict[str, Any] = {"status": {"code": code, "details": details}}
    if inputs is not None:
        wire["inputs"] = inputs
    return Answer(http_status, orjson.dumps(wire), after)


def one(http_status: int, code: object, **more: Any) -> Outcome:
    (outcome,) = judge(answer(http_status, code, **more), ["a"], NOW).outcomes
    return outcome


def named(outcome: Outcome) -> str:
    kind = type(outcome).__name__.lower()
    return kind if isinstance(outcome, Delivered) else f"{kind} {outcome.reason}"


@pytest.mark.parametrize(
    ("http_status", "code", "expected"),
    [
        (200, 10000, "delivered"),
        (200, 10000.0, "delivered"),
        (500, 10000, "delivered"),
        (200, 11005, "retry throttled"),
        (400, 11005, "retry throttled"),
        (429, None, "retry throttled"),
        (200, 11009, "rejected key_unknown"),
        (500, 39999, "rejected invalid_request"),
        (400, 30100, "rejected duplicate_url"),
        (400, 30199, "rejected code_30199"),
        (500, 10020, "retry http_500"),
        (400, 10020, "rejected http_400"),
        (408, None, "retry http_408"),
        (425, 12345, "retry http_425"),
        (404, 12345, "rejected http_404"),
        (401, "soon", "rejected key_invalid"),
        (413, None, "rejected too_large"),
        (307, None, "rejected http_307"),
        (200, 12345, "retry code_12345"),
        (200, None, "retry unreadable_answer"),
        (200, 10**12, "retry unreadable_answer"),
        (409, 40010, "delivered"),
        (200, 10010, "retry no_verdict"),
    ],
)
def test_code_before_status(http_status: int, code: object, expected: str) -> None:
    assert named(one(http_status, code)) == expected


@pytest.mark.parametrize("code", sorted(TRANSIENT_CODES))
@pytest.mark.parametrize("http_status", [200, 400, 500])
def test_transient_codes_are_worth_another_try(http_status: int, code: int) -> None:
    assert isinstance(one(http_status, code), Retry)


def test_throttling_waits_fifteen_seconds_unless_told_otherwise() -> None:
    assert one(200, 11005) == Retry("throttled", "HTTP 200", 15.0)
    assert one(200, 11005, after="3") == Retry("throttled", "HTTP 200", 3.0)
    assert one(500, None, after="9") == Retry("http_500", "HTTP 500", 9.0)


def test_each_inputs_own_status_counts() -> None:
    inputs = [
        {"id": "c", "status": {"code": 39996}},
        {"id": "a", "status": {"code": 30001}},
        {"id": "b", "status": {"code": 30002, "details": "Input has a duplicate ID."}},
        {"id": "d", "status": {"code": 30104, "description": "bad", "details": "no text"}},
    ]
    verdict = judge(answer(200, 10010, inputs), ["a", "b", "c", "d", "e"], NOW)
    assert [named(outcome) for outcome in verdict.outcomes] == [
        "delivered", "delivered", "retry code_39996", "rejected invalid_input", "retry no_verdict",
    ]  # fmt: skip
    assert verdict.outcomes[3] == Rejected("invalid_input", "bad: no text")
    assert not verdict.concerns_the_batch


def test_inputs_without_ids_are_told_by_their_place() -> None:
    inputs = [{"status": {"code": 30001}}, {"status": {"code": 30104}}]
    assert [named(each) for each in judge(answer(200, 10010, inputs), ["a", "b"], NOW).outcomes] == [
        "delivered",
        "rejected invalid_input",
    ]


def test_all_duplicates_are_all_delivered() -> None:
    inputs = [{"id": each, "status": {"code": 30100, "details": "Input has a duplicate ID."}} for each in "ab"]
    assert judge(answer(400, 10020, inputs), ["a", "b"], NOW).outcomes == [Delivered(), Delivered()]


def test_a_throttled_answer_outweighs_what_it_echoes() -> None:
    inputs = [{"id": "a", "status": {"code": 30001}}]
    assert named(judge(answer(200, 11005, inputs), ["a"], NOW).outcomes[0]) == "retry throttled"


@pytest.mark.parametrize(
    ("http_status", "code", "is_about_the_batch"),
    [
        (400, 11102, True),
        (409, 40010, True),
        (413, None, True),
        (401, 11009, False),
        (404, None, False),
        (500, 0, False),
    ],
)
def test_a_refused_batch_is_posted_apart_where_that_may_help(
    http_status: int, code: int | None, is_about_the_batch: bool
) -> None:
    assert judge(answer(http_status, code), ["a", "b"], NOW).concerns_the_batch is is_about_the_batch
    assert not judge(answer(http_status, code), ["a"], NOW).concerns_the_batch


@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["status", "code", "inputs", "id", "details"]), inner, max_size=4)
            ),
            max_leaves=12,
        ).map(orjson.dumps),
    ),
    st.text(max_size=10),
)
def test_any_answer_gives_an_outcome_for_every_input(http_status: int, body: bytes, after: str) -> None:
    verdict = judge(Answer(http_status, body, after), ["a", "b", "c"], NOW)
    assert len(verdict.outcomes) == 3
    assert all(isinstance(outcome, Delivered | Retry | Rejected) for outcome in verdict.outcomes)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("999999999", 86400.0),
        ("", None),
        ("-3", None),
        ("soon", None),
        ("1e999", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after_in_both_forms(text: str, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds
