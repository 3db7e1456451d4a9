"""An exchange as it enters the engine's queue: its route, its caller, and what its inputs' metadata will say.

Here heads end: what goes on are the few headers that decoding needs, and as metadata those on the allow-list. Promises
that no credential passes, neither in a header (allow-listed or not) nor in the query.

Metadata of every input: `headers` {allow-listed and trace ids}, `query` {first value by name}, `path`, `caller`,
`model`, `version` (the path's, else the answer's), `status` (0 without an answer), `latency_ms`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from sidecar.capture.caller import Callers
from sidecar.exchange import Head, read_head
from sidecar.frame import HAS_RESPONSE, RESPONSE_IS_WHOLE, cut_exchange
from sidecar.protocol.call import Call, Side
from sidecar.protocol.content import is_plain
from sidecar.protocol.decode import decode
from sidecar.protocol.openinference import BINARY_HEADER
from sidecar.protocol.routes import Route, recognise

TRACE_HEADERS = frozenset(("traceparent", "x-request-id", "ce-id", "inferenceid", "x-amzn-sagemaker-inference-id"))
_DECODING_HEADERS = frozenset(("content-type", "content-encoding", BINARY_HEADER))
_CREDENTIAL = re.compile(
    r"auth|cookie|token|secret|passw|pwd|credential|session|signature|subscription-key|x-amz-|x-goog-"
    r"|(?:^|[-_.])(?:key|apikey|sig|jwt)(?:$|[-_.])",
    re.IGNORECASE,
)
_REMEMBERED_HEADS = 512
_REMEMBERED_HEAD_BYTES = 2048
_OBJECTS_BYTES = 2048
"""What an arrival weighs in memory besides its bodies, roughly."""


class Asked(NamedTuple):
    """What a request's head says; the same for every exchange with the same head."""

    route: Route
    caller: str
    metadata: dict[str, Any]
    head: Head
    key: tuple[str, str, str]
    """Caller, model and version: what the queue is fair between."""
    is_plain: bool = False
    """See `Side`."""


class Answered(NamedTuple):
    """What an answer's head says; the same for every answer with the same head."""

    head: Head
    """What decoding needs of it."""
    status: int
    is_plain: bool = False
    """See `Side`."""


class Arrival(NamedTuple):
    """A predict call on its way to matching, without its heads."""

    id: bytes
    started_at: float
    latency_seconds: float
    asked: Asked
    request: bytes
    """The request's body."""
    answered: Answered | None
    """None when the model sent no answer."""
    answer: bytes
    """The answer's body."""
    is_whole: bool

    @property
    def status(self) -> int:
        """The answer's; 0 without one."""
        answered = self.answered
        return 0 if answered is None else answered.status

    @property
    def size_bytes(self) -> int:
        return len(self.request) + len(self.answer) + _OBJECTS_BYTES

    def describe(self, version: str) -> dict[str, Any]:
        """The metadata of each input, once the call's version is known."""
        latency_ms = round(self.latency_seconds * 1000, 3)
        return {**self.asked.metadata, "version": version, "status": self.status, "latency_ms": latency_ms}


class ArrivalReader:
    """Reads exchanges with one table of callers and one allow-list of headers (names in lower case).

    Remembers the newest heads: those of one client are mostly alike, and reading one costs more than the rest.
    """

    def __init__(self, callers: Callers, metadata_headers: Collection[str]) -> None:
        self._callers = callers
        self._names = TRACE_HEADERS.union(name for name in metadata_headers if not is_credential(name))
        self._remembered = functools.lru_cache(_REMEMBERED_HEADS)(self._read)

    def read(self, payload: bytes) -> Arrival | None:
        """The arrival in an EXCHANGE frame's payload; None when it is no predict call. Raises FrameError."""
        exchange_id, started_at, latency_seconds, flags, head, request, answer_head, answer = cut_exchange(payload)
        asked = self._remembered(head) if len(head) <= _REMEMBERED_HEAD_BYTES else self._read(head)
        if asked is None:
            return None
        answered = _answered(answer_head) if flags & HAS_RESPONSE else None
        is_whole = bool(flags & RESPONSE_IS_WHOLE)
        return Arrival(exchange_id, started_at, latency_seconds, asked, request, answered, answer, is_whole)

    def _read(self, content: bytes) -> Asked | None:
        head = read_head(content)
        route = recognise(head.start[0].encode("latin-1"), head.target.encode("latin-1"))
        if route is None:
            return None
        caller = self._callers.resolve(head)
        path, _, query = head.target.partition("?")
        metadata = {
            "headers": _kept(head, self._names),
            "query": _query(query) if query else {},
            "path": path if path.startswith("/") else "/" + path.split("/", 3)[-1],
            "caller": caller,
            "model": route.model,
            "version": route.version,
        }
        bare = _for_decoding(head)
        return Asked(route, caller, metadata, bare, (caller, route.model, route.version), is_plain(bare))


def _read_answered(content: bytes) -> Answered:
    head = _for_decoding(read_head(content))
    return Answered(head, head.status, is_plain(head))


_remembered_answer = functools.lru_cache(_REMEMBERED_HEADS)(_read_answered)


def _answered(content: bytes) -> Answered:
    return _remembered_answer(content) if len(content) <= _REMEMBERED_HEAD_BYTES else _read_answered(content)


def decode_arrival(arrival: Arrival) -> Call:
    """The call in `arrival`. Never raises; see `protocol.decode`."""
    asked, answered = arrival.asked, arrival.answered
    answer = None
    if answered is not None:
        answer = Side(answered.head, arrival.answer, arrival.is_whole, answered.is_plain)
    return decode(asked.route, Side(asked.head, arrival.request, True, asked.is_plain), answer, arrival.describe)


def is_credential(name: str) -> bool:
    """True if a header or query field of this name may hold a credential; when in doubt it does."""
    return _CREDENTIAL.search(name) is not None


def _kept(head: Head, names: frozenset[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in head.headers:
        if name in names and name not in kept:
            kept[name] = value
    return kept


def _query(query: str) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not is_credential(unquote(name)):
            kept.setdefault(name, value)
    return kept


def _for_decoding(head: Head) -> Head:
    """The head less its target and every header that decoding does not read."""
    first, second, third = head.start
    start = (first, "", third) if second[:1] in ("/", "h") else head.start
    return Head(start, tuple([pair for pair in head.headers if pair[0] in _DECODING_HEADERS]))
