"""Frames: how an exchange, and what is said about it, crosses from the relay to the engine and back.

Owns the format of the Unix socket between the two: a kind, a length, a payload. Promises that both ends cut the stream
the same way however it is split. Knows no JSON: the relay must not. A frame is written as a list of buffers so that
bodies are never copied to be framed.

    relay → engine   EXCHANGE (head, then the bytes of both messages) · COUNTS · ASK_METRICS
    engine → relay   INDEX · ACK · ASK_COUNTS · METRICS
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from sidecar.errors import PermanentError
from sidecar.exchange import Exchange, Message


class Kind(enum.IntEnum):
    EXCHANGE = 1
    COUNTS = 2
    ASK_METRICS = 3
    INDEX = 16
    ACK = 17
    ASK_COUNTS = 18
    METRICS = 19


class FrameError(PermanentError):
    """The other end speaks another format; the connection is of no more use."""


PREFIX = struct.Struct("!BI")
_EXCHANGE = struct.Struct("!16sddBIIII")
_HAS_RESPONSE = 1
_RESPONSE_IS_WHOLE = 2
MAX_FRAME_BYTES = 2**31
SLICE_RULES = 200
"""Rules of an index that are read in one go: under a millisecond."""


def prefix(kind: Kind, length: int) -> bytes:
    return PREFIX.pack(kind, length)


def encode_text(kind: Kind, text: str) -> bytes:
    """A whole frame with a UTF-8 payload."""
    payload = text.encode()
    return PREFIX.pack(kind, len(payload)) + payload


def exchange_prefix(
    exchange_id: bytes,
    started_at: float,
    latency_seconds: float,
    request_head: int,
    request_body: int,
    response_head: int,
    response_body: int,
    *,
    has_response: bool = True,
    response_is_whole: bool = True,
) -> bytes:
    """What stands before the bytes of both messages; the four lengths are in bytes."""
    flags = (_HAS_RESPONSE if has_response else 0) | (_RESPONSE_IS_WHOLE if response_is_whole else 0)
    length = _EXCHANGE.size + request_head + request_body + response_head + response_body
    return PREFIX.pack(Kind.EXCHANGE, length) + _EXCHANGE.pack(
        exchange_id, started_at, latency_seconds, flags, request_head, request_body, response_head, response_body
    )


def decode_exchange(payload: bytes) -> Exchange:
    """The exchange in an EXCHANGE frame's payload. Raises FrameError when the lengths do not add up."""
    if len(payload) < _EXCHANGE.size:
        raise FrameError(f"an exchange frame of {len(payload)} bytes is shorter than its head")
    exchange_id, started_at, latency, flags, a, b, c, d = _EXCHANGE.unpack_from(payload)
    start = _EXCHANGE.size
    if start + a + b + c + d != len(payload):
        raise FrameError("the lengths in an exchange frame do not add up to its size")
    ends = (start + a, start + a + b, start + a + b + c)
    request = Message(payload[start : ends[0]], payload[ends[0] : ends[1]])
    response = Message(payload[ends[1] : ends[2]], payload[ends[2] :]) if flags & _HAS_RESPONSE else None
    return Exchange(exchange_id, started_at, latency, request, response, bool(flags & _RESPONSE_IS_WHOLE))


class FrameReader:
    """Cuts a byte stream into frames, however it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add `data` and give each (kind, payload) that is now whole. Raises FrameError on an absurd length."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= PREFIX.size:
                kind, length = PREFIX.unpack_from(buffer, start)
                if length > MAX_FRAME_BYTES:
                    raise FrameError(f"a frame claims {length} bytes, the limit is {MAX_FRAME_BYTES}")
                end = start + PREFIX.size + length
                if len(buffer) < end:
                    break
                payload = bytes(memoryview(buffer)[start + PREFIX.size : end])
                start = end
                yield kind, payload
        finally:
            del buffer[:start]


def encode_counts(counts: Mapping[str, int]) -> str:
    """Counters as lines of `name value`; names hold no white space."""
    return "\n".join(f"{name} {value}" for name, value in counts.items())


def decode_counts(text: str) -> dict[str, int]:
    """The counters in `text`. Raises FrameError on a line that is not `name value`."""
    try:
        return {name: int(value) for name, value in (line.split(" ") for line in text.splitlines())}
    except ValueError as error:
        raise FrameError(f"counters cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Want:
    """What one active collector could want; a blank field means any."""

    model: str
    version: str = ""
    caller: str = ""
    sample: float = 1.0
    """Fraction of exchanges, in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Index:
    """All that any active collector could want, compact: model → version → caller → the largest sampled fraction.

    The blank version and the blank caller mean any. Looking up costs the same however many collectors there are.
    """

    models: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def fraction(self, model: str, version: str | None, caller: str | None) -> float:
        """The fraction of such exchanges that is wanted; 0 means surely not. None means not known yet."""
        versions = self.models.get(model)
        if versions is None:
            return 0.0
        if version is None:
            return max(_of_caller(callers, caller) for callers in versions.values())
        best = 0.0
        for name in (version, ""):
            callers = versions.get(name)
            if callers is not None:
                best = max(best, _of_caller(callers, caller))
        return best


def _of_caller(callers: Mapping[str, float], caller: str | None) -> float:
    if caller is None:
        return max(callers.values())
    return max(callers.get(caller, 0.0), callers.get("", 0.0))


Rules = dict[str, dict[str, dict[str, float]]]


def build_index(wants: Iterable[Want]) -> Index:
    models: Rules = {}
    for want in wants:
        _add_rule(models, want)
    return Index(models)


def _add_rule(models: Rules, want: Want) -> None:
    callers = models.setdefault(want.model, {}).setdefault(want.version, {})
    callers[want.caller] = max(callers.get(want.caller, 0.0), want.sample)


def encode_index(index: Index) -> str:
    """One line a rule: model, version, caller (each percent-encoded) and fraction, tab-separated."""
    return "\n".join(
        "\t".join((quote(model, ""), quote(version, ""), quote(caller, ""), repr(fraction)))
        for model, versions in index.models.items()
        for version, callers in versions.items()
        for caller, fraction in callers.items()
    )


def decode_index(text: str) -> Index:
    """The index in `text`. Raises FrameError on a line that is not a rule."""
    return build_index(map(_decode_rule, text.splitlines()))


def decode_index_in_slices(text: str) -> Generator[None, None, Index]:
    """The same, with a pause after every `SLICE_RULES` rules: the relay has traffic to carry between them."""
    models: Rules = {}
    for number, line in enumerate(text.splitlines(), 1):
        _add_rule(models, _decode_rule(line))
        if number % SLICE_RULES == 0:
            yield
    return Index(models)


def _decode_rule(line: str) -> Want:
    parts = line.split("\t")
    if len(parts) != 4:
        raise FrameError(f"an index line has {len(parts)} fields, not 4")
    try:
        return Want(unquote(parts[0]), unquote(parts[1]), unquote(parts[2]), float(parts[3]))
    except ValueError as error:
        raise FrameError(f"an index line cannot be read: {error}") from error
