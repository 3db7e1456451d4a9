"""Heads that were read before: where a message that starts with one ends, and whether anybody wants it.

Shared by all connections of a relay, as the clients of a model say mostly the same. Only what the head alone decides
stands here: one plain Content-Length, and of a request the decision under one index. Promises that the reader would
find the same end; what is odd in any way is not known here, and the reader's to judge.
"""

from __future__ import annotations

from sidecar.frame import Index
from sidecar.proxy.admit import Admission
from sidecar.proxy.heads import BLANK_LINE, plain_request_length, plain_response_length

MOST_HEADS = 512
"""Of either kind; at one more all are forgotten. Where each request has an id of its own, most never come again."""
LONGEST_HEAD_BYTES = 4096


class Known:
    """One head as received; `fraction` of such exchanges is wanted, as `index` says."""

    __slots__ = ("body_bytes", "fraction", "head", "head_bytes", "index", "size_bytes")

    def __init__(self, head: bytes, body_bytes: int, fraction: float = 0.0, index: Index | None = None) -> None:
        self.head = head
        self.head_bytes = len(head)
        self.body_bytes = body_bytes
        self.size_bytes = len(head) + body_bytes
        self.fraction = fraction
        self.index = index


class KnownHeads:
    """Finds the head of a read that is one whole message. Bodies larger than `max_body_bytes` are the reader's."""

    __slots__ = ("_admission", "_max_body_bytes", "_requests", "_responses")

    def __init__(self, admission: Admission, max_body_bytes: int) -> None:
        self._admission = admission
        self._max_body_bytes = max_body_bytes
        self._requests: dict[bytes, Known] = {}
        self._responses: dict[bytes, Known] = {}

    def request(self, data: bytes, index: Index | None) -> Known | None:
        """The head of `data` and whether it is wanted; None unless it is plain and `data` one whole request."""
        head = _head_of(data)
        known = self._requests.get(head)
        if known is None or known.index is not index:
            lower = head.lower()
            body_bytes = plain_request_length(lower)
            if body_bytes is None or len(head) + body_bytes != len(data) or body_bytes > self._max_body_bytes:
                return None
            known = Known(head, body_bytes, self._admission.fraction(head, lower, index), index)
            _remember(self._requests, known)
        return known if known.size_bytes == len(data) else None

    def response(self, data: bytes) -> Known | None:
        """The head of `data`; None unless it is plain and `data` one whole answer, to anything but HEAD."""
        head = _head_of(data)
        known = self._responses.get(head)
        if known is None:
            body_bytes = plain_response_length(head.lower())
            if body_bytes is None or len(head) + body_bytes != len(data) or body_bytes > self._max_body_bytes:
                return None
            known = Known(head, body_bytes)
            _remember(self._responses, known)
        return known if known.size_bytes == len(data) else None


def _head_of(data: bytes) -> bytes:
    """Up to and with the first blank line; without one, or with a very long head, nothing that a head could be."""
    return data[: data.find(BLANK_LINE, 0, LONGEST_HEAD_BYTES) + len(BLANK_LINE)]


def _remember(heads: dict[bytes, Known], known: Known) -> None:
    if len(heads) >= MOST_HEADS:
        heads.clear()
    heads[known.head] = known
