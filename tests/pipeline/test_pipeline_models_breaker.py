"""When a model is left alone, and what is remembered of its answers: no sockets, time by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.data import Data, Text
from sidecar.errors import TransientError
from sidecar.pipeline.answers import ENTRY_BYTES, Answers, Learned
from sidecar.pipeline.breaker import LONGEST_SECONDS, PROBE_SECONDS, Breaker
from sidecar.protocol.asked import AwayError, RefusedError


def opened(failures: int = 2, seconds: float = 5.0) -> Breaker:
    """A breaker that opened at 0."""
    breaker = Breaker(failures, seconds)
    assert [breaker.failed(0, is_probe=breaker.begin()) for _ in range(failures)] == [False] * (failures - 1) + [True]
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(3, 5)
    for _ in range(5):
        assert not breaker.failed(0, is_probe=False)
        assert not breaker.failed(0, is_probe=False)
        assert not breaker.succeeded()
    assert breaker.wait_seconds(0) == 0
    assert opened(1).wait_seconds(2) == 3


def test_a_probe_closes_it_or_opens_it_for_twice_as_long_up_to_a_minute() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.wait_seconds(now))
        now += waits[-1]
        assert breaker.wait_seconds(now) == 0
        assert breaker.begin()
        assert breaker.wait_seconds(now) == PROBE_SECONDS
        assert breaker.failed(now, is_probe=True)
    assert waits == [5, 10, 20, 40, 60, 60]
    now += LONGEST_SECONDS
    assert breaker.begin()
    assert breaker.succeeded()
    assert (breaker.is_open, breaker.wait_seconds(now)) == (False, 0)


def test_a_late_failure_of_an_older_call_neither_opens_nor_lengthens_it() -> None:
    breaker = opened()
    assert not breaker.failed(4, is_probe=False)
    assert breaker.wait_seconds(4) == 1


def test_a_late_answer_of_an_older_call_closes_it() -> None:
    breaker = opened()
    assert breaker.succeeded()
    assert breaker.wait_seconds(0) == 0


def test_a_probe_that_was_cut_off_leaves_its_place() -> None:
    breaker = opened()
    is_probe = breaker.begin()
    breaker.left(is_probe=is_probe)
    assert breaker.wait_seconds(5) == 0


def test_a_server_that_asks_for_it_is_left_alone_for_an_hour_at_most() -> None:
    breaker = Breaker(2, 5)
    breaker.hold(0, 30)
    breaker.hold(0, 10)
    assert breaker.wait_seconds(10) == 20
    breaker.hold(0, 86400)
    assert breaker.wait_seconds(0) == 3600


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from("sflh"), st.floats(0, 30))))
def test_it_is_always_closed_again_by_one_answer_and_never_waits_for_ever(
    most: int, steps: list[tuple[str, float]]
) -> None:
    breaker, now = Breaker(most, 5), 0.0
    in_a_row = 0
    for kind, seconds in steps:
        now += seconds
        if breaker.wait_seconds(now):
            continue
        is_probe = breaker.begin()
        if kind == "h":
            breaker.hold(now, seconds)
            kind = "s"
        if kind == "s":
            breaker.succeeded()
            in_a_row = 0
        elif kind == "f":
            in_a_row += 1
            assert breaker.failed(now, is_probe=is_probe) == (is_probe or in_a_row >= most)
        else:
            breaker.left(is_probe=is_probe)
        assert breaker.is_open == (in_a_row >= most)
        assert breaker.wait_seconds(now) <= LONGEST_SECONDS
    assert breaker.wait_seconds(now + LONGEST_SECONDS) == 0


class Asking:
    """Answers as it is told, and counts."""

    def __init__(self, *ends: Data | Exception, size_bytes: int = 10) -> None:
        self.ends = list(ends)
        self.asked = 0
        self.size_bytes = size_bytes
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> Learned:
        self.asked += 1
        await self.may_answer.wait()
        end = self.ends.pop(0)
        if isinstance(end, RefusedError | Data):
            return Learned(end, self.size_bytes)
        raise end


SAID = Data(text=Text("said"))


async def test_what_was_learned_is_not_asked_again_also_a_refusal() -> None:
    answers = Answers()
    for key, end in ((b"a", SAID), (b"b", RefusedError("refused", "no"))):
        ask = Asking(end)
        for _ in range(2):
            if isinstance(end, Data):
                assert await answers.get(key, ask) == SAID
            else:
                with pytest.raises(RefusedError):
                    await answers.get(key, ask)
        assert ask.asked == 1


async def test_the_oldest_is_let_go_and_what_is_too_large_not_kept() -> None:
    answers = Answers(memory_bytes=2 * (ENTRY_BYTES + 10))
    asks = {key: Asking(SAID, SAID) for key in (b"a", b"b", b"c")}
    for key in (b"a", b"b", b"a", b"c", b"a", b"b"):
        await answers.get(key, asks[key])
    assert [ask.asked for ask in asks.values()] == [1, 2, 1]
    large = Asking(SAID, SAID, size_bytes=4 * ENTRY_BYTES)
    await answers.get(b"d", large)
    await answers.get(b"d", large)
    assert large.asked == 2


async def both(answers: Answers, first: Callable[[], Awaitable[Learned]], second: Asking) -> list[asyncio.Task[Data]]:
    """Two who ask the same at one time: `first` is under way when the second comes."""
    tasks = [asyncio.create_task(answers.get(b"k", ask)) for ask in (first, second)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_comes_while_it_is_asked_hears_the_same() -> None:
    first, second = Asking(SAID, size_bytes=2**30), Asking()
    first.may_answer.clear()
    tasks = await both(Answers(), first, second)
    first.may_answer.set()
    assert await asyncio.gather(*tasks) == [SAID, SAID]
    assert second.asked == 0


async def test_who_comes_while_it_fails_hears_that_and_a_later_one_asks_again() -> None:
    answers, first, second = Answers(), Asking(AwayError("timeout", "away")), Asking(SAID)
    first.may_answer.clear()
    tasks = await both(answers, first, second)
    first.may_answer.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [AwayError, AwayError]
    assert second.asked == 0
    assert await answers.get(b"k", second) == SAID


@pytest.mark.parametrize("bug", [None, ZeroDivisionError()])
async def test_when_the_one_who_asks_is_cut_off_or_breaks_the_next_asks(bug: Exception | None) -> None:
    first, second = Asking(*([bug] if bug else [])), Asking(SAID)
    first.may_answer.clear()
    tasks = await both(Answers(), first, second)
    if bug:
        first.may_answer.set()
    else:
        tasks[0].cancel()
    assert await tasks[1] == SAID
    with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
        await tasks[0]
    assert (first.asked, second.asked) == (1, 1)


def test_that_a_model_is_away_is_worth_another_try() -> None:
    assert issubclass(AwayError, TransientError)
