"""What a message's head says about where its body ends: pure byte searches.

Promises that a length it gives is the only reading of that head. Whatever has a second one (two lengths, a transfer
encoding, an odd line) gives None and goes to the library. Heads are handed in with lower-case letters.
"""

from __future__ import annotations

import re

LINE_END = b"\r\n"
BLANK_LINE = b"\r\n\r\n"

_LENGTH = b"\r\ncontent-length:"
_ENCODING = b"\r\ntransfer-encoding:"
_PLAIN_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*+([0-9]{1,15})[ \t]*+\r\n")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9a-z]++"
_FIELD_LINES = rb"\r\n(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+\r\n"
_REQUEST_START = _TOKEN + rb" [!-~\x80-\xff]++ http/1\.[01]"
_STATUS_START = rb"http/1\.[01] [1-9][0-9][0-9](?: [\t -~\x80-\xff]*+)?"
_REQUEST_LINE = re.compile(_REQUEST_START + rb"\r\n")
_STATUS_LINE = re.compile(_STATUS_START + rb"\r\n")
_FIELDS = re.compile(_FIELD_LINES)
_REQUEST = re.compile(_REQUEST_START + _FIELD_LINES)
_RESPONSE = re.compile(_STATUS_START + _FIELD_LINES)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)
_STATUS_WITHOUT_BODY = (b"204", b"304")


def has_odd_lines(head: bytes) -> bool:
    """True unless every field is `name: value` of letters that may stand there (RFC 9110, 5): no line that ends in
    less than CRLF, none folded, no white space before a colon. Servers read the others differently."""
    return _FIELDS.match(head, head.find(LINE_END)) is None


def is_request(head: bytes) -> bool:
    return _REQUEST_LINE.match(head) is not None


def is_response(head: bytes) -> bool:
    return _STATUS_LINE.match(head) is not None


def request_length(head: bytes) -> int | None:
    """The body's length in bytes, or None when more than one plain Content-Length decides it."""
    return _only_length(head)


def response_length(head: bytes) -> int | None:
    """Likewise for the answer to anything but HEAD."""
    status = head[9:12]
    if status in _STATUS_WITHOUT_BODY or status.startswith(b"1"):
        return None
    return _only_length(head)


def plain_request_length(head: bytes) -> int | None:
    """The body's length if nothing but this head decides it, however servers read; None where anything is odd, and of
    HEAD and CONNECT, whose answers are. `head` ends with its first blank line."""
    length = request_length(head)
    if length is None or head.startswith((b"head ", b"connect ")) or _REQUEST.match(head) is None:
        return None
    return length


def plain_response_length(head: bytes) -> int | None:
    """Likewise for the answer to anything but HEAD."""
    length = response_length(head)
    return None if length is None or _RESPONSE.match(head) is None else length


def _only_length(head: bytes) -> int | None:
    if _ENCODING in head or head.count(_LENGTH) != 1:
        return None
    found = _PLAIN_LENGTH.search(head)
    return None if found is None else int(found[1])


def has_odd_encoding(head: bytes) -> bool:
    """True for a transfer encoding other than one plain `chunked`, and for any of HTTP/1.0, which knows none."""
    fields = head.count(_ENCODING)
    if not fields:
        return False
    is_old = b"http/1.0" in head[: head.find(LINE_END)]
    return is_old or fields > 1 or _CHUNKED.search(head) is None


def ends_with_the_connection(head: bytes) -> bool:
    """True for an answer's head without a length and without a transfer encoding: only FIN ends its body."""
    return _LENGTH not in head and _ENCODING not in head


def framing_alone(head: bytes) -> bytes:
    """A request's head as the library is to read it: of any method, as it knows only some, and with an offered Upgrade
    out of sight, as it would stop before such a request's body."""
    return b"POST / HTTP/1.1" + _UPGRADE.sub(rb"\r\nx-offer", head[head.find(LINE_END) :])
