"""The seam between traffic and capture: one connection's reader and tap, behind which nothing can hurt the traffic.

Whatever is raised while looking is caught here, counted and said; the reader is then off that connection for good, its
open exchanges are lost under a reason, and the bytes go on. Nothing here ever raises, waits or writes to a socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sidecar.events import Events
from sidecar.proxy.capture import Capture
from sidecar.proxy.http1 import Reader
from sidecar.proxy.messages import UnreadableError
from sidecar.proxy.tap import Tap


class Watch:
    """What is seen of one connection. The bytes handed in have been written to the other side already."""

    __slots__ = ("_events", "_reader", "_tap")

    def __init__(self, capture: Capture, events: Events) -> None:
        self._events = events
        self._tap = Tap(capture)
        self._reader: Reader | None = Reader(self._tap.begin)

    @property
    def is_idle(self) -> bool:
        """True when surely no exchange is open; what is not read is not known to be idle."""
        try:
            return self._reader is not None and self._reader.is_idle
        except Exception as error:  # noqa: BLE001 - the seam
            self._off(error)
            return False

    @property
    def unfinished_head(self) -> int:
        """Which of this connection's requests has begun and has no whole head yet; 0 when none, or nobody reads."""
        return 0 if self._reader is None else self._reader.unfinished_head

    @property
    def owes_answer(self) -> bool:
        """True when surely the model has a whole request and has not answered all of it."""
        return self._reader is not None and self._reader.owes_answer

    def request_bytes(self, data: bytes) -> None:
        if self._reader is not None:
            try:
                self._reader.request_bytes(data)
            except Exception as error:  # noqa: BLE001 - the seam
                self._off(error)

    def response_bytes(self, data: bytes) -> None:
        if self._reader is not None:
            try:
                self._reader.response_bytes(data)
            except Exception as error:  # noqa: BLE001 - the seam
                self._off(error)

    def request_fin(self) -> None:
        """The client sends no more."""
        if self._reader is not None:
            self._look(self._reader.request_fin)

    def response_fin(self) -> None:
        """The upstream sends no more."""
        if self._reader is not None:
            self._look(self._reader.response_fin)

    def close(self, reason: str) -> None:
        """The connection is gone; `reason` says who left."""
        reader = self._reader
        if reader is not None:
            self._look(lambda: reader.close(reason))
            self._reader = None
        self._abandon(reason)

    def _look(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the seam
            self._off(error)

    def _off(self, error: Exception) -> None:
        self._reader = None
        reason = error.reason if isinstance(error, UnreadableError) else "capture_failed"
        capture = self._tap.capture
        counts = capture.counts
        counts.uncaptured[reason] = counts.uncaptured.get(reason, 0) + 1
        self._abandon(reason if reason in ("upgraded", "capture_failed") else "unreadable")
        with contextlib.suppress(Exception):  # a log that cannot be written must not cut a connection
            if reason == "capture_failed" and capture.may_complain():
                self._events.capture_failed("reader", error)
            self._events.connection_uncaptured(reason)

    def _abandon(self, reason: str) -> None:
        """Let go of every open copy. Nothing in here can fail."""
        self._tap.abandon(reason)
