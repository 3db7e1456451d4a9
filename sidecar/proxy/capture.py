"""What the copies of all connections of a relay share: the budget, the decision at the head, the way out.

Owns no copy. All copies stand under one byte budget, together with what waits on its way to the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sidecar import frame
from sidecar.frame import Index, Record
from sidecar.kit.clock import Clock
from sidecar.kit.ids import OrderedIds
from sidecar.proxy.admit import Admission
from sidecar.proxy.counts import Counts
from sidecar.proxy.known import KnownHeads

COMPLAINT_SECONDS = 1.0
_LARGEST_BODY_BYTES = frame.MAX_FRAME_BYTES // 4


class Outlet(Protocol):
    """Where whole copies go: the link."""

    @property
    def index(self) -> Index | None:
        """What any active collector could want; None until it is known."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes handed over and not yet taken by the system."""

    @property
    def waiting_at_most_bytes(self) -> int:
        """Not less than `waiting_bytes`, and quicker to ask."""

    @property
    def overflow_reason(self) -> str:
        """Why there is no room: `queue_full`, or `engine_away`."""

    def send(self, record: Record, size_bytes: int) -> str | None:
        """Take one exchange, `size_bytes` when framed. Returns None, or the reason why it was lost. Never waits."""


class Capture:
    """Plain values, as every exchange touches them."""

    __slots__ = (
        "_complained_at",
        "admission",
        "counts",
        "held_bytes",
        "known",
        "limit_bytes",
        "max_body_bytes",
        "monotonic",
        "new_id",
        "outlet",
    )

    def __init__(
        self,
        admission: Admission,
        outlet: Outlet,
        counts: Counts,
        clock: Clock,
        *,
        limit_bytes: int,
        max_body_bytes: int,
    ) -> None:
        self.admission = admission
        self.outlet = outlet
        self.counts = counts
        self.monotonic = clock.monotonic
        self.new_id: Callable[[], bytes] = OrderedIds().draw
        self.limit_bytes = limit_bytes
        self.max_body_bytes = min(max_body_bytes, _LARGEST_BODY_BYTES)
        self.known = KnownHeads(admission, self.max_body_bytes)
        self.held_bytes = 0
        self._complained_at = -COMPLAINT_SECONDS

    def may_complain(self) -> bool:
        """True at most once in `COMPLAINT_SECONDS`: a fault met by every connection must not be written by each."""
        now = self.monotonic()
        if now - self._complained_at < COMPLAINT_SECONDS:
            return False
        self._complained_at = now
        return True
