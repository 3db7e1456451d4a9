"""Collected rows become exchanges and enter the engine's queue like those that the relays copy.

Owns their half of the exchanges' sum, which holds at every moment: an exchange is *seen* when its first half has come,
and *open* until whoever takes it from the queue gives its receipt, or it is lost under a reason. Never parses rows.
"""

from __future__ import annotations

import asyncio

from sidecar.capture.arrival import Answered, Arrival
from sidecar.capture.ingest_counts import IngestCounts
from sidecar.capture.ingest_join import Joining, Pair
from sidecar.capture.ingest_record import JSON, Record
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.events import Events
from sidecar.exchange import Head

JOIN_SECONDS = 30.0
"""How long one half of an exchange waits for the other: longer than most models take to answer."""
_ANSWERED = Answered(Head(("HTTP/1.1", "200", "OK"), (("content-type", JSON),)), 200)


class Ingest:
    """Takes records, joins them, and puts them into `queue`."""

    def __init__(
        self,
        queue: KeyedQueue[Captured],
        events: Events,
        join_bytes: int,
        join_seconds: float = JOIN_SECONDS,
    ) -> None:
        self._queue = queue
        self._events = events
        self._joining = Joining(join_bytes, join_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._counts = IngestCounts()

    def count_on(self, counts: IngestCounts) -> None:
        """Count into `counts` from now on: before anything is taken."""
        self._counts = counts

    @property
    def counts(self) -> dict[str, int]:
        return self._counts.as_dict()

    @property
    def waiting(self) -> int:
        """Halves that wait for their other half."""
        return len(self._joining)

    def take(self, record: Record) -> None:
        before = len(self._joining)
        pairs = self._joining.put(record, _now())
        if len(self._joining) + len(pairs) > before:  # a half that was seen already is not seen again
            self._counts.see()
        self._pass_on(pairs)
        self._set_timer()

    def lose(self, reason: str, count: int = 1) -> None:
        """Count exchanges that were let go before they could be taken."""
        self._counts.see(count)
        self._counts.acknowledge(f"lost.{reason}", count)
        self._events.exchange_lost(reason, count)

    def end(self) -> None:
        """Let everything go on that waits; safe twice. What comes later waits again."""
        self._pass_on(self._joining.all())
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._joining.next_due
        if due is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._pass_on(self._joining.due(_now()))
        self._set_timer()

    def _pass_on(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            arrival = arrival_of(pair)
            captured = Captured(arrival, self._counts)
            for lost in self._queue.put(arrival.asked.key, captured, arrival.size_bytes):
                lost.lost("queue_full")
                self._events.exchange_lost("queue_full")


def arrival_of(pair: Pair) -> Arrival:
    """The exchange whose request is the inputs' rows and whose answer, where there is one, the predictions' rows."""
    inputs, predictions = pair
    if predictions is None:
        return Arrival(inputs.id, inputs.seconds, 0.0, inputs.asked, inputs.content, None, b"", is_whole=True)
    latency_seconds = max(0.0, predictions.seconds - inputs.seconds)
    return Arrival(
        inputs.id, inputs.seconds, latency_seconds, inputs.asked, inputs.content, _ANSWERED, predictions.content,
        is_whole=True,
    )  # fmt: skip


def _now() -> float:
    """By the timer's clock."""
    return asyncio.get_running_loop().time()
