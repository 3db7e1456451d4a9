"""An exchange: one request with its answer, as it was on the wire less its transfer encoding.

Owns the value and the reading of a message's head. Frozen; no I/O. `head` is the start line and the header lines as
received, up to and with the blank line; `body` is the content after transfer decoding (chunked framing taken off,
content coding left on).
"""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One HTTP/1.1 message."""

    head: bytes
    body: bytes


class Exchange(NamedTuple):
    """One request with its answer; `response` is None when the model sent none."""

    id: bytes
    """16 bytes of ours, the time and then random ones; never a header's: clients reuse those when they retry."""
    started_at: float
    """When the request's head was read, in seconds since the epoch."""
    latency_seconds: float
    """From the request's head to the end of the answer."""
    request: Message
    response: Message | None
    response_is_whole: bool = True
    """False when either side left before the answer's end."""

    @property
    def size_bytes(self) -> int:
        size = len(self.request.head) + len(self.request.body)
        if self.response is not None:
            size += len(self.response.head) + len(self.response.body)
        return size


class Head(NamedTuple):
    """A message's head, read: the start line's three parts and the headers with lower-case names, in order."""

    start: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """The first value of header `name` (given in lower case), or `default`."""
        for key, value in self.headers:
            if key == name:
                return value
        return default

    @property
    def target(self) -> str:
        return self.start[1]

    @property
    def status(self) -> int:
        """A response's status code; 0 where the start line holds none."""
        return int(self.start[1]) if self.start[1].isdecimal() else 0


def read_text(latin: str) -> str:
    """A header's value as people wrote it: heads are read as latin-1, but beyond ASCII most are UTF-8."""
    if latin.isascii():
        return latin
    try:
        return latin.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return latin


def read_head(head: bytes) -> Head:
    """Split a head into its parts. Never raises: latin-1 text, a line without a colon is passed over."""
    lines = head.decode("latin-1").split("\r\n")
    first, _, rest = lines[0].partition(" ")
    second, _, third = rest.partition(" ")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    return Head((first, second, third), tuple(headers))
