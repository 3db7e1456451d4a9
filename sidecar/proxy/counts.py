"""What a relay has counted since its start: plain numbers, cheap enough to touch on every read.

Promises that at every moment `seen = unwanted + taken + sum(lost) + open`. An exchange is *seen* when its request's
head has been read; it is *open* until it is resolved, here or by the engine's receipt.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.frame import FrameError

LOST = (
    "queue_full",
    "engine_away",
    "too_large",
    "unreadable",
    "client_left",
    "upstream_left",
    "upgraded",
    "capture_failed",
)
"""Why a copy was let go. `client_left` and `upstream_left`: that side ended before the request was whole."""

UNCAPTURED = ("unreadable", "http2", "connect", "upgraded", "capture_failed")
"""Why a connection's bytes pass unread from some point on."""


class Counts:
    """One relay's counters. `copying` and `outstanding` are gauges: copies in the relay, and receipts awaited."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "connections_open",
        "connections_total",
        "copying",
        "lost",
        "outstanding",
        "seen",
        "taken",
        "tls_refused",
        "uncaptured",
        "unwanted",
        "upstream_refused",
    )

    def __init__(self) -> None:
        self.seen = self.unwanted = self.taken = 0
        self.copying = self.outstanding = 0
        self.connections_open = self.connections_total = self.upstream_refused = 0
        self.tls_refused = 0
        self.bytes_in = self.bytes_out = 0
        self.lost = dict.fromkeys(LOST, 0)
        self.uncaptured = dict.fromkeys(UNCAPTURED, 0)

    @property
    def open(self) -> int:
        """Exchanges seen and not yet resolved."""
        return self.copying + self.outstanding

    def lose(self, reason: str, count: int = 1) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + count

    def receive(self, receipts: Mapping[str, int]) -> None:
        """The engine's receipts for exchanges that were outstanding. Raises FrameError when they cannot be."""
        total = sum(receipts.values())
        if total > self.outstanding or min(receipts.values(), default=0) < 0:
            raise FrameError(f"the engine gave {total} receipts for {self.outstanding} exchanges")
        for name, count in receipts.items():
            self._receive(name, count)

    def _receive(self, name: str, count: int) -> None:
        kind, dot, reason = name.partition(".")
        if name == "taken":
            self.taken += count
        elif name == "unwanted":
            self.unwanted += count
        elif kind == "lost" and dot:
            self.lose(reason, count)
        else:
            raise FrameError(f"the engine gave a receipt named {name!r}")
        self.outstanding -= count

    def as_dict(self) -> dict[str, int]:
        """Every counter under its name; `lost.reason` and `uncaptured.reason` for each reason."""
        counts = {
            "seen": self.seen,
            "unwanted": self.unwanted,
            "taken": self.taken,
            "open": self.open,
            "connections_open": self.connections_open,
            "connections_total": self.connections_total,
            "upstream_refused": self.upstream_refused,
            "tls_refused": self.tls_refused,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
        counts.update((f"lost.{reason}", count) for reason, count in self.lost.items())
        counts.update((f"uncaptured.{reason}", count) for reason, count in self.uncaptured.items())
        return counts
