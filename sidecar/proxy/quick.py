"""The quick way of the usual exchange past the reader, behind the same seam.

Nearly every predict call comes whole in one read, as does its answer, and its head decides its length. Such a message
needs no reader: its head is the last one of this connection again, which one comparison of bytes tells, or one that is
known from another, or is read once. So an exchange that nobody wants costs two comparisons and two counts, and one that
is wanted two references and a record for the link.

Only one exchange at a time goes this way, begun where the reader stands between two messages with nothing open. When
anything else happens in the middle (an odd head, a piece, a second request, an end) the reader takes the exchange over
as if it had read the request itself. Promises the same frames and the same counts as `Watch` alone gives.
"""

from __future__ import annotations

from sidecar import frame
from sidecar.events import Events
from sidecar.frame import Index
from sidecar.proxy.admit import is_sampled
from sidecar.proxy.capture import Capture
from sidecar.proxy.known import Known
from sidecar.proxy.tap import PIECE_BYTES
from sidecar.proxy.watch import Watch

_READING, _QUIET, _UNWANTED, _COPIED = range(4)
"""The reader has the connection · nothing is open · a request that nobody wants, or one that is copied, has come by the
quick way and waits for its answer."""
_WHOLE = frame.HAS_RESPONSE | frame.RESPONSE_IS_WHOLE
_NONE = Known(b"", -1)
"""Never a read's."""


class QuickWatch(Watch):
    """What is seen of one connection."""

    __slots__ = (
        "_answered",
        "_asked",
        "_began_at",
        "_capture",
        "_counts",
        "_id",
        "_outlet",
        "_request",
        "_stage",
    )

    def __init__(self, capture: Capture, events: Events) -> None:
        super().__init__(capture, events)
        self._stage = _QUIET
        self._asked = self._answered = _NONE
        self._request = self._id = b""
        self._began_at = 0.0
        self._capture = capture
        self._counts = capture.counts
        self._outlet = capture.outlet

    @property
    def is_idle(self) -> bool:
        return self._stage == _QUIET or (self._stage == _READING and super().is_idle)

    @property
    def owes_answer(self) -> bool:
        return self._stage >= _UNWANTED or (self._stage == _READING and super().owes_answer)

    def request_bytes(self, data: bytes) -> None:
        try:
            if self._stage != _QUIET:
                self._read_request(data)
                return
            asked, index = self._asked, self._outlet.index
            if len(data) != asked.size_bytes or not data.startswith(asked.head) or asked.index is not index:
                known = self._know_request(data, index)
                if known is None:
                    self._read_request(data)
                    return
                self._asked = asked = known
            if asked.fraction:
                self._copy(asked, data)
            else:
                counts = self._counts
                counts.seen += 1
                counts.unwanted += 1
                self._stage = _UNWANTED
        except Exception as error:  # noqa: BLE001 - the seam
            self._off(error)

    def response_bytes(self, data: bytes) -> None:
        try:
            if self._stage < _UNWANTED:
                self._read_response(data)
                return
            answered = self._answered
            if len(data) != answered.size_bytes or not data.startswith(answered.head):
                known = self._capture.known.response(data)
                if known is None:
                    self._read_response(data)
                    return
                self._answered = answered = known
            if self._stage == _UNWANTED:
                self._stage = _QUIET
            else:
                self._finish(answered, data)
        except Exception as error:  # noqa: BLE001 - the seam
            self._off(error)

    def response_fin(self) -> None:
        self._look(self._hand_over)
        super().response_fin()

    def close(self, reason: str) -> None:
        self._look(self._hand_over)
        super().close(reason)

    # the quick way

    def _know_request(self, data: bytes, index: Index | None) -> Known | None:
        try:
            return self._capture.known.request(data, index)
        except BaseException:
            self._counts.seen += 1
            self._counts.lose("capture_failed")
            raise

    def _copy(self, asked: Known, data: bytes) -> None:
        capture, counts = self._capture, self._counts
        held_bytes = capture.held_bytes + asked.size_bytes + PIECE_BYTES
        if held_bytes + self._outlet.waiting_at_most_bytes > capture.limit_bytes:
            self._read_request(data)  # the reader's tap looks closer
            return
        counts.seen += 1
        counts.copying += 1
        capture.held_bytes = held_bytes
        self._stage = _COPIED  # from here on a fault is settled
        self._request = data
        self._began_at = capture.monotonic()
        self._id = capture.new_id()
        if asked.fraction < 1 and not is_sampled(self._id, asked.fraction):
            self._settle()
            counts.unwanted += 1
            self._stage = _UNWANTED

    def _finish(self, answered: Known, data: bytes) -> None:
        capture, outlet, asked = self._capture, self._outlet, self._asked
        cost_bytes = answered.size_bytes + PIECE_BYTES
        if capture.held_bytes + outlet.waiting_at_most_bytes + cost_bytes > capture.limit_bytes:
            self._read_response(data)
            return
        record = (
            self._id,
            self._began_at,
            capture.monotonic(),
            _WHOLE,
            asked.head_bytes,
            asked.body_bytes,
            answered.head_bytes,
            answered.body_bytes,
            (self._request, data),
        )
        size_bytes = frame.EXCHANGE_PREFIX_BYTES + asked.size_bytes + answered.size_bytes
        lost = outlet.send(record, size_bytes)
        self._settle()
        if lost is not None:
            self._counts.lose(lost)

    def _settle(self) -> None:
        self._stage = _QUIET
        self._request = b""
        self._counts.copying -= 1
        self._capture.held_bytes -= self._asked.size_bytes + PIECE_BYTES

    # the reader's way

    def _read_request(self, data: bytes) -> None:
        self._hand_over()
        if self._reader is not None:
            self._reader.request_bytes(data)

    def _read_response(self, data: bytes) -> None:
        self._hand_over()
        if self._reader is not None:
            self._reader.response_bytes(data)
            if self._reader.is_quiet:
                self._stage = _QUIET

    def _hand_over(self) -> None:
        """What is open is the reader's from now on."""
        stage = self._stage
        if stage == _READING or self._reader is None:
            return
        copy = None
        if stage == _COPIED:
            held_bytes = self._asked.size_bytes + PIECE_BYTES
            copy = self._tap.adopt(self._id, self._began_at, self._request, self._asked.head_bytes, held_bytes)
        self._stage = _READING  # the copy is the tap's now
        self._request = b""
        if stage != _QUIET:
            self._reader.adopt(copy)

    def _abandon(self, reason: str) -> None:
        if self._stage == _COPIED:
            self._settle()
            self._counts.lose(reason)
        self._stage = _READING
        super()._abandon(reason)
