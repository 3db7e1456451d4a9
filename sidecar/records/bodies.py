"""Bodies of formats that keep no path: which protocol they are is told by their shape. Pure.

JSON is taken as the body of the protocol whose names it has, else of TensorFlow Serving's; a bare list is its
`instances` or `predictions`. Lines of CSV, and JSON lines, are one item each.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from sidecar.exchange import Head
from sidecar.protocol.call import Call, Side
from sidecar.protocol.decode import decode
from sidecar.protocol.routes import Route
from sidecar.records.recorded import RecordError

_JSON = "application/json"
_LINES = ("application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson")


class Body(NamedTuple):
    content: bytes
    media_type: str = _JSON


def call_of(request: Body, answer: Body | None, metadata: Mapping[str, Any]) -> Call:
    """The call, of no named model. Never raises: what cannot be read is kept raw."""
    given = _document(request)
    protocol = _protocol_of(given)
    sent = _side(_written(given, "instances", protocol, request), ("POST", "", "HTTP/1.1"))
    answered = None
    if answer is not None:
        said = _written(_document(answer), "predictions", protocol, answer)
        answered = _side(said, ("HTTP/1.1", "200", "OK"))
    return decode(Route(protocol, ""), sent, answered, lambda version: {**metadata, "version": version})


def body_of(text: object, encoding: object, media_type: object) -> Body:
    """What `text` stands for: BASE64 is bytes, anything else text. Raises RecordError."""
    if not isinstance(text, str):
        raise RecordError("data: must be text")
    kind = media_type if isinstance(media_type, str) else ""
    if encoding == "BASE64":
        try:
            return Body(base64.b64decode(text, validate=True), kind or _JSON)
        except (binascii.Error, ValueError) as error:
            raise RecordError(f"data: must be base64: {error}") from error
    return Body(text.encode(), "text/csv" if encoding == "CSV" else kind or _JSON)


def _side(body: Body, start: tuple[str, str, str]) -> Side:
    return Side(Head(start, (("content-type", body.media_type),)), body.content)


def _document(body: Body) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON that a body holds or stands for; None where it is none."""
    kind = body.media_type.partition(";")[0].strip().lower()
    try:
        if kind == "text/csv":
            return _cells(body.content.decode())
        if kind in _LINES:
            return [orjson.loads(line) for line in body.content.splitlines() if line.strip()]
        return orjson.loads(body.content)
    except ValueError:
        return None


def _cells(text: str) -> list[Any]:
    """A line each: its only cell, or a list of its cells."""
    rows = [[_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    return [row[0] if len(row) == 1 else row for row in rows]


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _protocol_of(document: object) -> str:
    first = _first(document if isinstance(document, list) else _inputs_of(document))
    if isinstance(document, list):
        return "rows" if isinstance(first, dict) else "tensorflow"
    if isinstance(document, dict) and {"columns", "rows"} <= document.keys():
        return "rows"
    if isinstance(first, dict) and "datatype" in first:
        return "openinference"
    return "clarifai" if isinstance(first, dict) and isinstance(first.get("data"), dict) else "tensorflow"


def _inputs_of(document: object) -> object:
    return document.get("inputs") if isinstance(document, dict) else None


def _first(items: object) -> object:
    return items[0] if isinstance(items, list) and items else None


def _written(document: object, name: str, protocol: str, body: Body) -> Body:
    """`body` as its protocol has it: a bare list gets its name."""
    if document is None:
        return body
    if isinstance(document, list) and protocol == "tensorflow":
        document = {name: document}
    return Body(orjson.dumps(document))
