"""Exchanges as they are on the wire, for tests of what reads them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import orjson

from sidecar import frame
from sidecar.exchange import Exchange, Message

EXCHANGE_ID = bytes(range(16))


def message(start: str, body: object, headers: Mapping[str, str] | None = None) -> Message:
    """A message; a body that is not bytes is written as JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    head = "".join(f"{line}\r\n" for line in (start, *(f"{name}: {value}" for name, value in lines.items())))
    return Message(head.encode("utf-8") + b"\r\n", content)


def predict(
    target: str,
    request: object,
    answer: object = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    answer_headers: Mapping[str, str] | None = None,
    has_answer: bool = True,
    is_whole: bool = True,
) -> Exchange:
    """A predict call to `target` with its answer."""
    response = message(f"HTTP/1.1 {status} OK", answer, answer_headers) if has_answer else None
    sent = message(f"POST {target} HTTP/1.1", request, headers)
    return Exchange(EXCHANGE_ID, 1_700_000_000.0, 0.0125, sent, response, is_whole)


def payload_of(exchange: Exchange) -> bytes:
    """`exchange` as the engine gets it: an EXCHANGE frame's payload."""
    request, response = exchange.request, exchange.response
    pieces = (*request, *(response or (b"", b"")))
    flags = frame.HAS_RESPONSE * (response is not None) + frame.RESPONSE_IS_WHOLE * exchange.response_is_whole
    a, b, c, d = map(len, pieces)
    record = (exchange.id, 0.0, exchange.latency_seconds, flags, a, b, c, d, pieces)
    return b"".join(frame.exchange_frames([record], exchange.started_at))[frame.PREFIX.size :]


def gzipped(value: object) -> bytes:
    return gzip.compress(orjson.dumps(value))
