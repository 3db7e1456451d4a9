"""What a relay has counted since its start: plain numbers, cheap enough to touch on every read.

Promises that at every moment `seen = unwanted + taken + sum(lost) + open`. An exchange is *seen* when its request's
head has been read; it is *open* until it is resolved, here or by the engine's receipt.
"""

from __future__ import annotations

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
        "uncaptured",
        "unwanted",
        "upstream_refused",
    )

    def __init__(self) -> None:
        self.seen = self.unwanted = self.taken = 0
        self.copying = self.outstanding = 0
        self.connections_open = self.connections_total = self.upstream_refused = 0
        self.bytes_in = self.bytes_out = 0
        self.lost = dict.fromkeys(LOST, 0)
        self.uncaptured = dict.fromkeys(UNCAPTURED, 0)

    @property
    def open(self) -> int:
        """Exchanges seen and not yet resolved."""
        return self.copying + self.outstanding

    def lose(self, reason: str, count: int = 1) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + count

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
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
        counts.update((f"lost.{reason}", count) for reason, count in self.lost.items())
        counts.update((f"uncaptured.{reason}", count) for reason, count in self.uncaptured.items())
        return counts
