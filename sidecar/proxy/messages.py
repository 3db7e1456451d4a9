"""One direction of an HTTP/1 connection, cut into messages. Never does I/O.

Owns where a message ends, and nothing of what it means. A head is found by its blank line; a plain length is counted
down and its pieces handed on as they came; the rest is fed to httptools, one fresh parser a message and never beyond a
blank line, so that each message's end is exact.
"""

from __future__ import annotations

import httptools

from sidecar.proxy import heads
from sidecar.proxy.heads import BLANK_LINE, LINE_END

MAX_HEAD_BYTES = 64 * 1024
MAX_STEPS = 500
"""Heads, bodies and blank lines in one read: what takes more of them would hold the loop, and the traffic with it."""
_REMEMBERED_HEAD_BYTES = 4096
_TELLING_BYTES = 8
"""So much of a start tells whether it may become a head."""


class UnreadableError(Exception):
    """The connection's bytes are not, or no longer, HTTP/1; `reason` is one of `counts.UNCAPTURED`."""

    def __init__(self, reason: str = "unreadable") -> None:
        self.reason = reason
        super().__init__(reason)


class _Heard:
    """What the library says; apart from the parser, so that the two are no circle."""

    __slots__ = ("is_whole", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_whole = False

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_begin(self) -> None:
        if self.is_whole:
            raise UnreadableError

    def on_message_complete(self) -> None:
        self.is_whole = True


class ParsedBody:
    """One message as the library reads it."""

    __slots__ = ("_heard", "_parser", "_tail")

    def __init__(self, parser: type[httptools.HttpRequestParser | httptools.HttpResponseParser]) -> None:
        self._heard = _Heard()
        self._parser = parser(self._heard)
        self._tail = b""

    @property
    def is_whole(self) -> bool:
        return self._heard.is_whole

    def feed(self, data: bytes) -> None:
        """Raises UnreadableError."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise UnreadableError from error
        self._tail = (self._tail + data[-3:])[-3:]

    def next_stop(self, data: bytes, at: int) -> int:
        """Where to stop feeding `data` from `at`: a chunked message ends with a blank line and nowhere else."""
        split = (self._tail + data[at : at + 3]).find(BLANK_LINE)
        if split >= 0:
            return at + split + 4 - len(self._tail)
        found = data.find(BLANK_LINE, at)
        return len(data) if found < 0 else found + 4

    def take(self) -> bytes:
        """The body since the last call: joined, as a piece for each of many small chunks would cost far more."""
        pieces, self._heard.pieces = self._heard.pieces, []
        return b"".join(pieces)


class MessageStream:
    """One direction: at a head, inside a counted body, or inside a parsed one."""

    __slots__ = ("_continues", "_head", "_heads_begun", "_lower", "_partial", "head_length", "left", "parsed")

    def __init__(self) -> None:
        self._head = self._lower = b""
        self.head_length: int | None = None
        """The body's length as the head at hand alone tells; None when that is not plain."""
        self._partial = b""
        self._continues = False
        self._heads_begun = 0
        self.left = 0
        self.parsed: ParsedBody | None = None

    @property
    def is_between_messages(self) -> bool:
        return not self.left and self.parsed is None and not self._partial

    @property
    def unfinished_head(self) -> int:
        """Which head has begun in an earlier read and is not whole yet: a number, 0 when there is none."""
        return self._heads_begun if self._partial else 0

    def feed(self, data: bytes) -> None:
        """Look at one read. Raises UnreadableError."""
        if self._partial:
            data, self._partial = self._partial + data, b""
            self._continues = True
            self.feed(data)
            self._continues = False
            return
        at = steps = 0
        while at < len(data):
            steps += 1
            if steps > MAX_STEPS:
                raise UnreadableError
            if self.left:
                at = self._count(data, at)
            elif self.parsed is not None:
                at = self._parse(self.parsed, data, at)
            else:
                at = self._find_head(data, at)

    def _count(self, data: bytes, at: int) -> int:
        piece = data if not at and len(data) <= self.left else data[at : at + self.left]
        self.left -= len(piece)
        self._continued(piece)
        if not self.left:
            self._ended()
        return at + len(piece)

    def _parse(self, parsed: ParsedBody, data: bytes, at: int) -> int:
        stop = parsed.next_stop(data, at)
        parsed.feed(data[at:stop])
        piece = parsed.take()
        if piece:
            self._continued(piece)
        if parsed.is_whole:
            self.parsed = None
            self._ended()
        return stop

    def _find_head(self, data: bytes, at: int) -> int:
        blank = data.find(BLANK_LINE, at)
        if blank < 0 or data.startswith(LINE_END, at):
            return self._without_head(data, at)
        body = blank + 4
        head = data[at:body]
        if head != self._head:
            self._read_head(head)
        length = self._plain_length()
        if length is None:
            return self._odd_head(head, self._lower, body)
        end = body + length
        piece = data if not at and len(data) <= end else data[at:end]
        self.left = end - at - len(piece)
        self._began(self._lower, piece, length)
        if not self.left:
            self._ended()
        return at + len(piece)

    def _read_head(self, head: bytes) -> None:
        """Read a head that is not the last one again: one client's heads are mostly alike."""
        lower = head.lower()
        if heads.has_odd_lines(lower) or heads.has_odd_encoding(lower):
            raise UnreadableError
        self.head_length = self._length_of(lower)
        self._lower = lower
        self._head = head if len(head) <= _REMEMBERED_HEAD_BYTES else b""

    def _without_head(self, data: bytes, at: int) -> int:
        """An empty line before a request is passed over (RFC 9112, 2.2); a head that is not all here is kept."""
        if not self._may_become_head(data[at : at + _TELLING_BYTES]):
            raise UnreadableError
        if data.startswith(LINE_END, at):
            return at + 2
        rest = data[at:]
        if len(rest) > MAX_HEAD_BYTES or rest.count(b"\n") != rest.count(LINE_END):
            raise UnreadableError
        self._partial = rest
        if at or not self._continues:
            self._heads_begun += 1
        return len(data)

    def _may_become_head(self, start: bytes) -> bool:
        raise NotImplementedError

    def _length_of(self, lower: bytes) -> int | None:
        """The body's length when the head alone makes it plain; else None."""
        raise NotImplementedError

    def _plain_length(self) -> int | None:
        """The same, given where in the conversation the head stands."""
        return self.head_length

    def _odd_head(self, head: bytes, lower: bytes, body: int) -> int:
        """Begin a message whose end is not plain; return `body`, where the next byte to read stands."""
        raise NotImplementedError

    def _began(self, lower: bytes, piece: bytes, length: int | None) -> None:
        raise NotImplementedError

    def _continued(self, piece: bytes) -> None:
        raise NotImplementedError

    def _ended(self) -> None:
        raise NotImplementedError
