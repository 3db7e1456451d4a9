"""Frames: how an exchange, and what is said about it, crosses from the relay to the engine and back.

Owns the format of the Unix socket between the two: a kind, a length, a payload. Promises that both ends cut the stream
the same way however it is split. Knows no JSON: the relay must not. A frame is written as a list of buffers so that
bodies are never copied to be framed.

    relay → engine   EXCHANGE (head, then the bytes of both messages) · COUNTS · ASK_METRICS · PASSING
    engine → relay   INDEX · ACK · ASK_COUNTS · METRICS
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, unquote

from sidecar.errors import PermanentError
from sidecar.exchange import Exchange, Message


class Kind(enum.IntEnum):
    EXCHANGE = 1
    COUNTS = 2
    ASK_METRICS = 3
    PASSING = 4
    INDEX = 16
    ACK = 17
    ASK_COUNTS = 18
    METRICS = 19


class FrameError(PermanentError):
    """The other end speaks another format; the connection is of no more use."""


PREFIX = struct.Struct("!BI")
_EXCHANGE = struct.Struct("!16sddBIIII")
_PREFIXED_EXCHANGE = struct.Struct(PREFIX.format + _EXCHANGE.format.removeprefix("!"))
EXCHANGE_PREFIX_BYTES = _PREFIXED_EXCHANGE.size
"""What stands before the bytes of both messages."""
HAS_RESPONSE = 1
RESPONSE_IS_WHOLE = 2
Record = tuple[bytes, float, float, int, int, int, int, int, tuple[bytes, ...]]
"""An exchange that has ended, before it is framed; a bare tuple, as the relay makes one for each. Its id; when its
request's head was read and when its answer ended, in seconds of one monotonic clock; `HAS_RESPONSE` and
`RESPONSE_IS_WHOLE`, added; the lengths in bytes of the request's head and body and of the answer's; all their bytes, in
pieces."""
MAX_FRAME_BYTES = 2**31
SLICE_RULES = 200
"""Rules of an index that are read in one go: under a millisecond."""


def prefix(kind: Kind, length: int) -> bytes:
    return PREFIX.pack(kind, length)


def encode_text(kind: Kind, text: str) -> bytes:
    """A whole frame with a UTF-8 payload."""
    payload = text.encode()
    return PREFIX.pack(kind, len(payload)) + payload


def exchange_frames(records: Iterable[Record], epoch: float) -> list[bytes]:
    """The frames of `records`, as buffers to be written one after the other; bodies are not copied.

    `epoch` is what to add to their clock's readings to get seconds since the epoch.
    """
    pack, head_bytes, kind = _PREFIXED_EXCHANGE.pack, _EXCHANGE.size, int(Kind.EXCHANGE)
    buffers: list[bytes] = []
    for exchange_id, began_at, ended_at, flags, a, b, c, d, pieces in records:
        length = head_bytes + a + b + c + d
        buffers.append(pack(kind, length, exchange_id, began_at + epoch, ended_at - began_at, flags, a, b, c, d))
        buffers += pieces
    return buffers


Parts = tuple[bytes, float, float, int, bytes, bytes, bytes, bytes]
"""An exchange as it came: its id, when it started, its latency, its flags, the heads and bodies of both."""


def cut_exchange(payload: bytes) -> Parts:
    """The parts of an EXCHANGE frame's payload. Raises FrameError when the lengths do not add up."""
    if len(payload) < _EXCHANGE.size:
        raise FrameError(f"an exchange frame of {len(payload)} bytes is shorter than its head")
    exchange_id, started_at, latency, flags, a, b, c, d = _EXCHANGE.unpack_from(payload)
    start = _EXCHANGE.size
    if start + a + b + c + d != len(payload):
        raise FrameError("the lengths in an exchange frame do not add up to its size")
    b += a + start
    c += b
    a += start
    return exchange_id, started_at, latency, flags, payload[start:a], payload[a:b], payload[b:c], payload[c:]


def decode_exchange(payload: bytes) -> Exchange:
    """The exchange in an EXCHANGE frame's payload. Raises FrameError when the lengths do not add up."""
    exchange_id, started_at, latency, flags, *heads_and_bodies = cut_exchange(payload)
    request, response = Message(*heads_and_bodies[:2]), Message(*heads_and_bodies[2:])
    answer = response if flags & HAS_RESPONSE else None
    return Exchange(exchange_id, started_at, latency, request, answer, bool(flags & RESPONSE_IS_WHOLE))


class FrameReader:
    """Cuts a byte stream into frames, however it arrives."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0
        """Bytes that the rest must have before there is anything to cut."""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add `data` and give each (kind, payload) that is now whole. Raises FrameError on an absurd length."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, size, self._needed = 0, len(data), PREFIX.size
        try:
            while size - start >= PREFIX.size:
                kind, length = PREFIX.unpack_from(data, start)
                if length > MAX_FRAME_BYTES:
                    raise FrameError(f"a frame claims {length} bytes, the limit is {MAX_FRAME_BYTES}")
                end = start + PREFIX.size + length
                if size < end:
                    self._needed = end - start
                    break
                payload = data[start + PREFIX.size : end]
                start = end
                yield kind, payload
        finally:
            self._rest += data[start:]


def encode_counts(counts: Mapping[str, int]) -> str:
    """Counters as lines of `name value`; names hold no white space."""
    return "\n".join(f"{name} {value}" for name, value in counts.items())


def decode_counts(text: str) -> dict[str, int]:
    """The counters in `text`. Raises FrameError on a line that is not `name value`."""
    try:
        return {name: int(value) for name, value in (line.split(" ") for line in text.splitlines())}
    except ValueError as error:
        raise FrameError(f"counters cannot be read: {error}") from error


class Want(NamedTuple):
    """What one active collector, or a recording, could want; a blank field means any."""

    model: str
    version: str = ""
    caller: str = ""
    sample: float = 1.0
    """Fraction of exchanges, in (0, 1]."""


Rules = dict[str, dict[str | None, dict[str | None, float]]]


@dataclass(frozen=True, slots=True)
class Index:
    """All that any active collector could want, compact: model → version → caller → the largest sampled fraction.

    The blank model, version and caller mean any. Under None stands the largest of all versions, or of all callers:
    what counts while it is not known which. So looking up costs the same however many collectors there are.
    """

    models: Mapping[str, Mapping[str | None, Mapping[str | None, float]]] = field(default_factory=dict)

    def fraction(self, model: str, version: str | None, caller: str | None) -> float:
        """The fraction of such exchanges that is wanted; 0 means surely not. None means not known yet."""
        versions = self.models.get(model)
        found = 0.0 if versions is None else _of_version(versions, version, caller)
        versions = self.models.get("")
        return found if versions is None else max(found, _of_version(versions, version, caller))


def _of_version(
    versions: Mapping[str | None, Mapping[str | None, float]], version: str | None, caller: str | None
) -> float:
    found = _of_caller(versions.get(version), caller)
    return found if version is None else max(found, _of_caller(versions.get(""), caller))


def _of_caller(callers: Mapping[str | None, float] | None, caller: str | None) -> float:
    if callers is None:
        return 0.0
    return max(callers.get(caller, 0.0), callers.get("", 0.0))


def build_index(wants: Iterable[Want]) -> Index:
    models: Rules = {}
    for want in wants:
        _add_rule(models, want)
    return Index(models)


def _add_rule(models: Rules, want: Want) -> None:
    model, version, caller, sample = want
    versions = models.get(model)
    if versions is None:
        versions = models[model] = {None: {None: 0.0}}
    for callers in (versions.setdefault(version, {None: 0.0}), versions[None]):
        if sample > callers.get(caller, 0.0):
            callers[caller] = sample
            if sample > callers[None]:
                callers[None] = sample


def encode_index(index: Index) -> str:
    """One line a rule: model, version, caller (each percent-encoded) and fraction, tab-separated."""
    return "\n".join(
        "\t".join((quote(model, ""), quote(version, ""), quote(caller, ""), repr(fraction)))
        for model, versions in index.models.items()
        for version, callers in versions.items()
        if version is not None
        for caller, fraction in callers.items()
        if caller is not None
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
