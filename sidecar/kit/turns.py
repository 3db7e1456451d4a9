"""Giving way in the middle of long work: whoever was woken meanwhile runs first.

Linux kernels of today often let whoever computes go on until the scheduler's next tick, up to 4 ms, also when a process
of higher priority has been woken for the same processor (measured on 6.18 at 250 Hz: neither `nice` nor SCHED_IDLE nor
a shorter slice changed it). A process that works in bursts beside one that must answer at once offers its turn itself.

Promises to cost next to nothing while nobody waits, and to stay a small part of the time where somebody computes
without end: an offer that took long is not made again soon. Must not be used for waiting.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

SPACING_SECONDS = 0.0001
"""Offers are at least so far apart."""
LONG_SECONDS = 0.001
"""An offer that took so long met somebody who computes without end; who only answers a call is done much sooner."""
PATIENCE = 20
"""A long offer is followed by so many times the time that it took without another."""
TIMER_SECONDS = 0.0005
"""How often a timer offers."""


class Turns:
    """One process's offers, from any of its threads."""

    def __init__(
        self,
        give_way: Callable[[], object] = os.sched_yield,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._give_way = give_way
        self._monotonic = monotonic
        self._next_at = 0.0

    def offer(self) -> None:
        """Let others who wait for this processor run, if it is time for that again."""
        before = self._monotonic()
        if before < self._next_at:
            return
        self._give_way()
        after = self._monotonic()
        took_seconds = after - before
        self._next_at = after + (SPACING_SECONDS if took_seconds < LONG_SECONDS else PATIENCE * took_seconds)

    @contextlib.contextmanager
    def offered_by_timer(self) -> Iterator[None]:
        """Offer all along, whatever runs within: for the main thread, and for code that is not ours, imports say.

        The handler of SIGALRM stays, for one that is under way when the timer ends.
        """
        signal.signal(signal.SIGALRM, lambda _number, _frame: self.offer())
        signal.setitimer(signal.ITIMER_REAL, TIMER_SECONDS, TIMER_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
