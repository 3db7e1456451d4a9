"""What a message's head says about where its body ends: pure byte searches.

Promises that a length it gives is the only reading of that head. Whatever has a second one (two lengths, a transfer
encoding, an odd line) gives None and goes to the library. Heads are handed in with lower-case letters.
"""

from __future__ import annotations

import re

LINE_END = b"\r\n"
BLANK_LINE = b"\r\n\r\n"

_LENGTH = b"\r\ncontent-length"
_ENCODING = b"\r\ntransfer-encoding"
_LONGEST_LENGTH_DIGITS = 15
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9a-z]++"
_REQUEST_LINE = re.compile(_TOKEN + rb" [!-~\x80-\xff]++ http/1\.[01]\r\n")
_STATUS_LINE = re.compile(rb"http/1\.[01] [1-9][0-9][0-9](?: [\t -~\x80-\xff]*+)?\r\n")
_FIELDS = re.compile(rb"\r\n(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+\r\n")
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


def _only_length(head: bytes) -> int | None:
    at = head.find(_LENGTH)
    if at < 0 or _ENCODING in head:
        return None
    colon = at + len(_LENGTH)
    if head[colon : colon + 1] != b":" or head.find(_LENGTH, colon) >= 0:
        return None
    digits = head[colon + 1 : head.find(LINE_END, colon)].strip(b" \t")
    return int(digits) if digits.isdigit() and len(digits) <= _LONGEST_LENGTH_DIGITS else None


def has_odd_encoding(head: bytes) -> bool:
    """True for a transfer encoding other than one plain `chunked`, and for any of HTTP/1.0, which knows none."""
    if _ENCODING not in head:
        return False
    is_old = b"http/1.0" in head[: head.find(LINE_END)]
    return is_old or head.count(_ENCODING) > 1 or _CHUNKED.search(head) is None


def ends_with_the_connection(head: bytes) -> bool:
    """True for an answer's head without a length and without a transfer encoding: only FIN ends its body."""
    return _LENGTH not in head and _ENCODING not in head


def without_upgrade(head: bytes) -> bytes:
    """The head with an offered Upgrade out of sight, as the library would stop before such a request's body."""
    return _UPGRADE.sub(rb"\r\nx-offer", head)
