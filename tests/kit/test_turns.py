"""Turns are offered often while that is cheap, and seldom where it is not."""

from __future__ import annotations

import threading
import time

from sidecar.kit.turns import LONG_SECONDS, PATIENCE, SPACING_SECONDS, TIMER_SECONDS, Turns


class Processor:
    """A clock that moves only when somebody is let run, or by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes_seconds = 0.0
        self.offers = 0

    def give_way(self) -> None:
        self.offers += 1
        self.now += self.takes_seconds

    def monotonic(self) -> float:
        return self.now


def test_an_offer_that_nobody_takes_is_made_again_soon() -> None:
    processor = Processor()
    turns = Turns(processor.give_way, processor.monotonic)
    turns.offer()
    turns.offer()
    assert processor.offers == 1
    processor.now += SPACING_SECONDS
    turns.offer()
    assert processor.offers == 2


def test_who_only_answers_a_call_is_let_run_every_time() -> None:
    processor = Processor()
    processor.takes_seconds = LONG_SECONDS / 4
    turns = Turns(processor.give_way, processor.monotonic)
    for _ in range(10):
        turns.offer()
        processor.now += SPACING_SECONDS
    assert processor.offers == 10


def test_who_computes_without_end_is_let_run_for_a_small_part_of_the_time() -> None:
    processor = Processor()
    processor.takes_seconds = 0.003
    turns = Turns(processor.give_way, processor.monotonic)
    began, worked_seconds = processor.now, 0.0
    for _ in range(100_000):
        turns.offer()
        processor.now += 0.00001
        worked_seconds += 0.00001
    waited_seconds = processor.now - began - worked_seconds
    assert processor.offers > 10
    assert waited_seconds <= worked_seconds / PATIENCE + processor.takes_seconds


def test_the_systems_own_yield_is_what_is_called() -> None:
    Turns().offer()  # raises where the system has none


def test_a_timer_offers_while_something_else_computes() -> None:
    offered = threading.Event()
    turns = Turns(offered.set)
    with turns.offered_by_timer():
        while not offered.is_set():
            sum(range(100))
    offered.clear()
    began = time.monotonic()
    while time.monotonic() - began < 20 * TIMER_SECONDS:
        sum(range(100))
    assert not offered.is_set()
