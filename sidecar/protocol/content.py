"""A message's body → its content: content coding taken off the copy, JSON parsed.

Promises bounds: on the unpacked size (a few kilobytes can claim gigabytes) and on nesting (what is nested too deep
could not be written again). Raises UndecodedError and nothing else.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import Any

import orjson

from sidecar.exchange import Head
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.openinference import BINARY_HEADER

MAX_CONTENT_BYTES = 64 * 2**20
_MAX_CODINGS = 3
_MAX_DEPTH = 100
_SHORT_BYTES = 65_536
"""Counting to the end of so much takes no longer than looking for one bracket after the other."""
_NOT_NUMBERS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b', re.DOTALL)


def is_plain(head: Head) -> bool:
    """True if a body with this head is JSON as it stands, if it is JSON: told once for all that have the same head."""
    return not head.get("content-encoding") and not head.get(BINARY_HEADER)


def refuse_binary(head: Head) -> None:
    """Raise UndecodedError where the head announces tensors behind the JSON."""
    if head.get(BINARY_HEADER):
        raise UndecodedError("the binary tensor extension is not read yet")


def unpack(body: bytes, head: Head, limit_bytes: int = MAX_CONTENT_BYTES) -> bytes:
    """`body` without its content codings (gzip, deflate). Raises UndecodedError for others and above the limit."""
    if not head.get("content-encoding"):
        return body
    values = ",".join(value for name, value in head.headers if name == "content-encoding")
    codings = [part.strip().lower() for part in values.split(",")]
    if len(codings) > _MAX_CODINGS:
        raise UndecodedError(f"content-encoding: {len(codings)} codings, more than {_MAX_CODINGS}")
    for coding in reversed(codings):
        body = _unpack_one(body, coding, limit_bytes)
    return body


def _unpack_one(body: bytes, coding: str, limit_bytes: int) -> bytes:
    if coding in ("identity", ""):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise UndecodedError(f"content-encoding: {coding[:40]!r} is not gzip or deflate")
    try:
        content = _inflate(body, limit_bytes) if coding == "deflate" else _gunzip(body, limit_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise UndecodedError(f"content-encoding: not {coding}: {error}") from error
    if len(content) > limit_bytes:
        raise UndecodedError(f"content-encoding: unpacks to more than {limit_bytes} bytes")
    return content


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        return file.read(limit_bytes + 1)


def _inflate(body: bytes, limit_bytes: int) -> bytes:
    # "deflate" means the zlib format, but some senders leave its two-byte head out
    has_zlib_head = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    stream = zlib.decompressobj(zlib.MAX_WBITS if has_zlib_head else -zlib.MAX_WBITS)
    content = stream.decompress(body, limit_bytes + 1)
    if len(content) <= limit_bytes and not stream.eof:
        raise EOFError("cut short")
    return content


def parse_json(content: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value in `content`; NaN and Infinity, which TensorFlow Serving writes, are read as null."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        value = _parse_with_nan(content, error)
    if _may_be_too_deep(content) and _is_too_deep(value):
        raise UndecodedError(f"nested deeper than {_MAX_DEPTH}")
    return value


def _parse_with_nan(content: bytes, error: orjson.JSONDecodeError) -> Any:  # noqa: ANN401 - any JSON value
    if b"NaN" in content or b"Infinity" in content:
        try:
            return orjson.loads(_NOT_NUMBERS.sub(_null_outside_strings, content))
        except orjson.JSONDecodeError as still:
            error = still
    raise UndecodedError(f"not JSON: {error}") from error


def _null_outside_strings(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0].startswith(b'"') else b"null"


def _may_be_too_deep(content: bytes) -> bool:
    """False where there are too few brackets; in a long text, stops at the first that is too many."""
    if len(content) <= _SHORT_BYTES:
        return content.count(b"[") + content.count(b"{") > _MAX_DEPTH
    left = _MAX_DEPTH
    for bracket in (b"[", b"{"):
        at = content.find(bracket)
        while at >= 0 and left >= 0:
            left -= 1
            at = content.find(bracket, at + 1)
    return left < 0


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [child for parent in level for child in _children(parent) if isinstance(child, list | dict)]
        if not level:
            return False
    return True


def _children(parent: object) -> list[object]:
    if isinstance(parent, dict):
        return list(parent.values())
    return parent if isinstance(parent, list) else []
