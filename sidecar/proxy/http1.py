"""Cuts the two byte streams of one HTTP/1 connection into exchanges. Never does I/O, never changes a byte.

A head is found by its blank line. When one plain Content-Length follows, the body's end is a number and the pieces are
handed on as they came; anything else (chunked, no length, odd lengths) is fed to httptools, one fresh parser a message
and never beyond a blank line, so that each message's end is exact. What a HEAD answer's length promises is not waited
for, 1xx are passed over, an answer without a length ends at FIN. What cannot be read raises `UnreadableError`: the
caller takes the reader off the connection, whose bytes go on.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

import httptools

from sidecar.proxy import heads
from sidecar.proxy.heads import LINE_END
from sidecar.proxy.messages import MessageStream, ParsedBody, UnreadableError

_STATUS_LINE_START = b"HTTP/1."
_HTTP2_SETTINGS = b"\x04\x00\x00\x00\x00"
"""What follows the length of a SETTINGS frame: a server may say it before its client has said anything."""


class Copy(Protocol):
    """What the reader tells about one exchange. Either `finish` or `let_go` is the last call."""

    def request_piece(self, piece: bytes) -> None:
        """More of the request's body, its transfer encoding taken off."""

    def response_began(self, piece: bytes, head_bytes: int, body_bytes: int | None) -> None:
        """The answer's head, and as much of its body as came with it; `body_bytes` is None when not known."""

    def response_piece(self, piece: bytes) -> None:
        """More of the answer's body."""

    def finish(self, response_is_whole: bool) -> None:
        """The request is whole, and the answer has ended."""

    def let_go(self, reason: str) -> None:
        """The exchange will not be whole."""


Begin = Callable[[bytes, bytes, int | None], Copy | None]
"""Called with a request's head in lower case, its first piece (the head and what body came with it) and the body's
length if known. None: nobody wants this exchange, say no more about it."""


class _Turn:
    """One exchange's place in the order of the connection."""

    __slots__ = ("copy", "is_head", "request_is_whole", "response_is_whole")

    def __init__(self, copy: Copy | None, is_head: bool) -> None:
        self.copy = copy
        self.is_head = is_head
        self.request_is_whole = False
        self.response_is_whole = False


class _Requests(MessageStream):
    __slots__ = ("_begin", "_turns", "turn")

    def __init__(self, begin: Begin, turns: deque[_Turn]) -> None:
        super().__init__()
        self._begin = begin
        self._turns = turns
        self.turn: _Turn | None = None
        """The exchange whose request is not whole yet."""

    def _may_become_head(self, start: bytes) -> bool:
        return start[:1].isalpha() or LINE_END.startswith(start[:2])

    def _length_of(self, lower: bytes) -> int | None:
        if not heads.is_request(lower):
            raise UnreadableError("http2" if lower.startswith(b"pri * http/2") else "unreadable")
        if lower.startswith(b"connect "):
            raise UnreadableError("connect")
        return heads.request_length(lower)

    def _odd_head(self, head: bytes, lower: bytes, body: int) -> int:
        parsed = ParsedBody(httptools.HttpRequestParser)
        parsed.feed(heads.framing_alone(head))
        self._began(lower, head, 0 if parsed.is_whole else None)
        if parsed.is_whole:
            self._ended()
        else:
            self.parsed = parsed
        return body

    def _began(self, lower: bytes, piece: bytes, length: int | None) -> None:
        is_head = lower.startswith(b"head ")
        if is_head and not piece.startswith(b"HEAD "):
            raise UnreadableError  # methods know upper from lower case, but not every server does
        self.turn = turn = _Turn(self._begin(lower, piece, length), is_head)
        self._turns.append(turn)

    def _continued(self, piece: bytes) -> None:
        if self.turn is not None and self.turn.copy is not None:
            self.turn.copy.request_piece(piece)

    def _ended(self) -> None:
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.request_is_whole = True
            if turn.response_is_whole and turn.copy is not None:
                turn.copy.finish(True)


class _Responses(MessageStream):
    __slots__ = ("_ends_at_fin", "_turns")

    def __init__(self, turns: deque[_Turn]) -> None:
        super().__init__()
        self._turns = turns
        self._ends_at_fin = False

    def _may_become_head(self, start: bytes) -> bool:
        if start[3:] == _HTTP2_SETTINGS:
            raise UnreadableError("http2")
        return start[:7] == _STATUS_LINE_START[: len(start)]

    def _length_of(self, lower: bytes) -> int | None:
        if not heads.is_response(lower):
            raise UnreadableError
        return heads.response_length(lower)

    def _plain_length(self) -> int | None:
        if not self._turns:
            raise UnreadableError
        return None if self._turns[0].is_head else self.head_length

    def _odd_head(self, head: bytes, lower: bytes, body: int) -> int:
        status = head[9:12]
        if status == b"101":
            raise UnreadableError("upgraded")
        parsed = ParsedBody(httptools.HttpResponseParser)
        parsed.feed(head)
        if status.startswith(b"1"):
            return body
        if parsed.is_whole or self._turns[0].is_head:
            self._began(lower, head, 0)
            self._ended()
            return body
        self._began(lower, head, None)
        self._ends_at_fin = heads.ends_with_the_connection(lower)
        if self._ends_at_fin:
            self.left = sys.maxsize
        else:
            self.parsed = parsed
        return body

    def _began(self, lower: bytes, piece: bytes, length: int | None) -> None:
        copy = self._turns[0].copy
        if copy is not None:
            copy.response_began(piece, len(lower), length)

    def _continued(self, piece: bytes) -> None:
        copy = self._turns[0].copy
        if copy is not None:
            copy.response_piece(piece)

    def _ended(self) -> None:
        turn = self._turns.popleft()
        turn.response_is_whole = True
        if turn.request_is_whole and turn.copy is not None:
            turn.copy.finish(True)

    def fin(self) -> None:
        if self._ends_at_fin and self.left:
            self.left = 0
            self._ended()


class Reader:
    """Reads one connection; `begin` is asked once a request."""

    __slots__ = ("_requests", "_responses", "_turns", "request_bytes", "response_bytes")

    def __init__(self, begin: Begin) -> None:
        self._turns: deque[_Turn] = deque()
        self._requests = _Requests(begin, self._turns)
        self._responses = _Responses(self._turns)
        self.request_bytes = self._requests.feed
        """Look at what the client sent. Raises UnreadableError."""
        self.response_bytes = self._responses.feed
        """Look at what the upstream sent. Raises UnreadableError."""

    @property
    def is_idle(self) -> bool:
        """True when no exchange is open and no head has begun."""
        return not self._turns and self._requests.is_between_messages

    @property
    def unfinished_head(self) -> int:
        """See `MessageStream.unfinished_head`: the request's."""
        return self._requests.unfinished_head

    @property
    def owes_answer(self) -> bool:
        """True when the request that is to be answered next is whole."""
        return bool(self._turns) and self._turns[0].request_is_whole

    @property
    def is_quiet(self) -> bool:
        """True when either side stands between two messages and no exchange is open."""
        return self.is_idle and self._responses.is_between_messages

    def adopt(self, copy: Copy | None) -> None:
        """Go on with an exchange whose request, not of method HEAD, was read whole elsewhere."""
        turn = _Turn(copy, is_head=False)
        turn.request_is_whole = True
        self._turns.append(turn)

    def request_fin(self) -> None:
        """The client will send no more; it may still read."""
        turn = self._requests.turn
        if turn is not None and turn.copy is not None:
            turn.copy.let_go("client_left")
            turn.copy = None

    def response_fin(self) -> None:
        """The upstream will send no more: an answer without a length is whole, any other open one is cut."""
        self._responses.fin()
        self.close("upstream_left")

    def close(self, reason: str) -> None:
        """Nothing more will come: what has a whole request is finished, the rest is let go under `reason`."""
        half_sent = self._requests.turn
        if half_sent is not None and half_sent not in self._turns:
            self._turns.append(half_sent)
        while self._turns:
            turn = self._turns.popleft()
            copy, turn.copy = turn.copy, None
            if copy is None:
                continue
            if turn.request_is_whole:
                copy.finish(False)
            else:
                copy.let_go(reason)
