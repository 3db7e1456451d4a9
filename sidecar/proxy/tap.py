"""The bounded copy of an exchange: kept while it may be wanted, let go when it grows too large, counted either way.

All copies of a relay stand under one byte budget, together with what waits on its way to the engine. Bytes objects are
kept as they came and are never joined here. Every copy ends exactly once: handed to the link, or lost under a reason.
"""

from __future__ import annotations

from sidecar import frame
from sidecar.frame import Index
from sidecar.proxy.admit import is_sampled
from sidecar.proxy.capture import Capture

PIECE_BYTES = 64
"""What a piece costs besides its content, so that many tiny ones cannot outgrow the budget."""


class Tap:
    """The copies of one connection. `abandon` holds whatever else went wrong."""

    __slots__ = ("_fraction", "_index", "_lower", "capture", "open")

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.open: set[TappedExchange] = set()
        self._lower = b""
        self._index: Index | None = None
        self._fraction = 0.0

    def begin(self, lower: bytes, piece: bytes, body_bytes: int | None) -> TappedExchange | None:
        """A request's head has been read; see `http1.Begin`."""
        capture = self.capture
        counts = capture.counts
        counts.seen += 1
        try:
            exchange = self._admit(lower, piece)
        except BaseException:
            counts.lose("capture_failed")
            raise
        if exchange is None:
            counts.unwanted += 1
            return None
        counts.copying += 1
        self.open.add(exchange)
        exchange.request_began(piece, body_bytes)
        return exchange if exchange in self.open else None

    def _admit(self, lower: bytes, piece: bytes) -> TappedExchange | None:
        """Decided anew only for another head or another index than the last; the same object is the same head."""
        capture = self.capture
        index = capture.outlet.index
        if lower is not self._lower or index is not self._index:
            self._fraction = capture.admission.fraction(piece, lower, index)
            self._lower, self._index = lower, index
        if not self._fraction:
            return None
        exchange_id = capture.new_id()
        if not is_sampled(exchange_id, self._fraction):
            return None
        return TappedExchange(self, exchange_id, capture.monotonic(), len(lower))

    def adopt(
        self, exchange_id: bytes, began_at: float, request: bytes, head_bytes: int, held_bytes: int
    ) -> TappedExchange:
        """Go on with a copy that was begun elsewhere, of a whole request, with the bytes that it holds."""
        exchange = TappedExchange(self, exchange_id, began_at, head_bytes)
        exchange.request_was(request, held_bytes)
        self.open.add(exchange)
        return exchange

    def settle(self, exchange: TappedExchange) -> None:
        self.open.discard(exchange)
        self.capture.counts.copying -= 1
        self.capture.held_bytes -= exchange.held_bytes

    def abandon(self, reason: str) -> None:
        """Let go of every open copy. The last line of defence: nothing in here can fail."""
        for exchange in tuple(self.open):
            exchange.let_go(reason)


class TappedExchange:
    """One exchange's copy; what `http1.Copy` asks for."""

    __slots__ = (
        "_began_at",
        "_id",
        "_request",
        "_request_bytes",
        "_request_head_bytes",
        "_response",
        "_response_bytes",
        "_response_head_bytes",
        "_tap",
        "held_bytes",
    )

    def __init__(self, tap: Tap, exchange_id: bytes, began_at: float, request_head_bytes: int) -> None:
        self._tap = tap
        self._id = exchange_id
        self._began_at = began_at
        self._request: list[bytes] = []
        self._response: list[bytes] = []
        self._request_head_bytes = request_head_bytes
        self._response_head_bytes = 0
        self._request_bytes = self._response_bytes = 0
        self.held_bytes = 0

    def request_began(self, piece: bytes, body_bytes: int | None) -> None:
        """The first piece; a body that is known to be too large is let go before it comes."""
        if self._may_grow_to(body_bytes or 0):
            self.request_piece(piece)

    def request_was(self, request: bytes, held_bytes: int) -> None:
        """The whole request, which holds `held_bytes` of the budget already."""
        self._request = [request]
        self._request_bytes = len(request)
        self.held_bytes = held_bytes

    def request_piece(self, piece: bytes) -> None:
        size = self._request_bytes + len(piece)
        if self._keep(len(piece), size - self._request_head_bytes):
            self._request.append(piece)
            self._request_bytes = size

    def response_began(self, piece: bytes, head_bytes: int, body_bytes: int | None) -> None:
        self._response_head_bytes = head_bytes
        if self._may_grow_to(body_bytes or 0):
            self.response_piece(piece)

    def response_piece(self, piece: bytes) -> None:
        size = self._response_bytes + len(piece)
        if self._keep(len(piece), size - self._response_head_bytes):
            self._response.append(piece)
            self._response_bytes = size

    def _may_grow_to(self, body_bytes: int) -> bool:
        if body_bytes <= self._tap.capture.max_body_bytes:
            return True
        self.let_go("too_large")
        return False

    def _keep(self, piece_bytes: int, body_bytes: int) -> bool:
        """Whether there is room for a piece that makes its body `body_bytes` long; if not, the copy is let go."""
        if self not in self._tap.open or not self._may_grow_to(body_bytes):
            return False
        capture = self._tap.capture
        cost = piece_bytes + PIECE_BYTES
        if capture.held_bytes + capture.outlet.waiting_bytes + cost > capture.limit_bytes:
            self.let_go(capture.outlet.overflow_reason)
            return False
        self.held_bytes += cost
        capture.held_bytes += cost
        return True

    def finish(self, response_is_whole: bool) -> None:
        """Hand the exchange to the link; without an answer the response is absent, and never whole."""
        tap = self._tap
        if self not in tap.open:
            return
        capture = tap.capture
        is_whole = frame.RESPONSE_IS_WHOLE if response_is_whole else 0
        record = (
            self._id,
            self._began_at,
            capture.monotonic(),
            frame.HAS_RESPONSE | is_whole if self._response else is_whole,
            self._request_head_bytes,
            self._request_bytes - self._request_head_bytes,
            self._response_head_bytes,
            self._response_bytes - self._response_head_bytes,
            (*self._request, *self._response),
        )
        size_bytes = frame.EXCHANGE_PREFIX_BYTES + self._request_bytes + self._response_bytes
        lost = capture.outlet.send(record, size_bytes)
        tap.settle(self)
        if lost is not None:
            capture.counts.lose(lost)
        self._request, self._response = [], []

    def let_go(self, reason: str) -> None:
        """Drop the copy and count it; nothing when it has ended already."""
        tap = self._tap
        if self in tap.open:
            tap.settle(self)
            tap.capture.counts.lose(reason)
            self._request, self._response = [], []
