"""Inputs wait for their predictions, and predictions for their inputs: the two halves of a collected exchange.

Owns what waits, bounded in time and bytes; what is not joined within either goes on alone. Halves belong together when
they name the same correlation id, model, version and caller; of several with one id the oldest goes first. Pure: the
time is handed in.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from sidecar.capture.ingest_record import Record, Role

_Place = tuple[Role, tuple[str, ...]]


class Pair(NamedTuple):
    """What goes on: inputs with or without their predictions; predictions alone stand in the inputs' place."""

    inputs: Record
    predictions: Record | None = None


class _Half(NamedTuple):
    record: Record
    until: float


class Joining:
    """What waits for its other half, for `wait_seconds` each and `limit_bytes` together."""

    def __init__(self, limit_bytes: int, wait_seconds: float) -> None:
        self._limit_bytes = limit_bytes
        self._wait_seconds = wait_seconds
        self._waiting: OrderedDict[int, _Half] = OrderedDict()
        self._places: dict[_Place, deque[int]] = {}
        self._puts = 0
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, record: Record, now: float) -> list[Pair]:
        """Take `record`; gives what now goes on, in order."""
        if not record.correlation_id or record.role is Role.NEITHER:
            return [Pair(record)]
        partner = self._take((record.role.other, record.key))
        if partner is not None:
            return [Pair(record, partner) if record.role is Role.INPUTS else Pair(partner, record)]
        self._puts += 1
        self._waiting[self._puts] = _Half(record, now + self._wait_seconds)
        self._places.setdefault((record.role, record.key), deque()).append(self._puts)
        self._size_bytes += record.size_bytes
        gone = []
        while self._size_bytes > self._limit_bytes:
            gone.append(self._let_go())
        return gone

    def due(self, now: float) -> list[Pair]:
        """What has waited long enough."""
        gone = []
        while self._waiting and next(iter(self._waiting.values())).until <= now:
            gone.append(self._let_go())
        return gone

    def all(self) -> list[Pair]:
        """Everything that waits, waiting no longer."""
        return [self._let_go() for _ in range(len(self._waiting))]

    @property
    def next_due(self) -> float | None:
        """When the next one has waited long enough; None when nothing waits."""
        return next(iter(self._waiting.values())).until if self._waiting else None

    def _let_go(self) -> Pair:
        """The one that waits longest goes on alone."""
        record = next(iter(self._waiting.values())).record
        taken = self._take((record.role, record.key))
        return Pair(taken or record)

    def _take(self, place: _Place) -> Record | None:
        numbers = self._places.get(place)
        if numbers is None:
            return None
        record = self._waiting.pop(numbers.popleft()).record
        if not numbers:
            del self._places[place]
        self._size_bytes -= record.size_bytes
        return record
