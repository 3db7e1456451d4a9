"""What a sender of rows says about them, read from its request: one or more collected records. Pure.

Two senders are known: our own library, which posts batches, and `azureml-ai-monitoring`, which posts one record a
request with everything about it in headers. Promises that no credential passes, and that odd values of headers are
passed over rather than refused: the client would only lose the record. Source: the contract on model data collection.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from sidecar.capture.arrival import TRACE_HEADERS, Asked, is_credential
from sidecar.capture.caller import ANONYMOUS
from sidecar.errors import PermanentError
from sidecar.exchange import Head
from sidecar.protocol.routes import Route

JSON = "application/json"
UNKNOWN = frozenset(("", "unknown"))
LOG_PATH = "/modeldata/log"
ROWS_PATH = "/modeldata/rows"
_TYPE = "azureml.inference."
_OURS = frozenset(("ce-time", "ce-type", "ce-collect-data-type", "ce-agent", "ce-x-request-id", "ce-model-version"))
_CALLER, _MODEL = "ce-webservice", "ce-model-name"
_OBJECTS_BYTES = 2048


class Role(enum.Enum):
    """Which half of an exchange a record is."""

    INPUTS = "inputs"
    PREDICTIONS = "predictions"
    NEITHER = ""

    @property
    def other(self) -> Role:
        return {Role.INPUTS: Role.PREDICTIONS, Role.PREDICTIONS: Role.INPUTS}.get(self, self)


_ROLES = {
    **dict.fromkeys(("inputs", "input", "model_inputs", "request"), Role.INPUTS),
    **dict.fromkeys(("predictions", "prediction", "outputs", "output", "model_outputs", "response"), Role.PREDICTIONS),
}


class UnreadableRowsError(PermanentError):
    """A batch that no library of ours has written."""


class Record(NamedTuple):
    """The rows of one `collect`, unread."""

    id: bytes
    """16 bytes: the sender's, where it names some, so that what is sent twice is known as one."""
    seconds: float
    """When it was collected, since the epoch."""
    role: Role
    correlation_id: str
    asked: Asked
    content: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.content) + _OBJECTS_BYTES

    @property
    def key(self) -> tuple[str, ...]:
        """What the two halves of an exchange share."""
        return (*self.asked.key, self.correlation_id)


def read_log(headers: Iterable[tuple[str, str]], content: bytes, new_id: bytes, now: float, model: str) -> Record:
    """The record that `azureml-ai-monitoring` posted; `headers` by lower-case names, `model` when it names none."""
    given = {name: _readable(value) for name, value in headers}
    place = given.get("ce-type", "").removeprefix(_TYPE)
    correlation_id = given.get("ce-x-request-id", "")
    seconds = _seconds(given.get("ce-time"), now)
    context = {
        name.removeprefix("ce-"): value
        for name, value in given.items()
        if name.startswith("ce-") and name not in _OURS and not is_credential(name)
    }
    told = {
        "identifier": place,
        "designation": place,
        "correlation_id": correlation_id,
        "request_id": given.get("trace-id", ""),
        "collect_data_type": given.get("ce-collect-data-type", ""),
        "agent": given.get("ce-agent", ""),
        "context": context,
    }
    version = given.get("ce-model-version", "")
    who = _Source(given.get(_CALLER) or ANONYMOUS, given.get(_MODEL) or model, version)
    asked = _asked(LOG_PATH, who, told, given.get("content-type", JSON), seconds)
    return Record(new_id, seconds, _role(place), correlation_id, asked, content)


def read_batch(body: bytes) -> list[Record]:
    """The records that our library posted: a line about each, and a line with its rows. Raises UnreadableRowsError."""
    lines = body.splitlines()
    if len(lines) % 2:
        raise UnreadableRowsError("a batch has two lines a record")
    return [_read_ours(head, content) for head, content in zip(lines[::2], lines[1::2], strict=True)]


def _read_ours(line: bytes, content: bytes) -> Record:
    try:
        head = orjson.loads(line)
        record_id = bytes.fromhex(head["id"])
        texts = {name: head[name] for name in ("model", "version", "webservice", "identifier", "correlation_id")}
        told = {name: head[name] for name in ("identifier", "designation", "model_id", "correlation_id", "request_id")}
        seconds = float(head["time"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableRowsError("a record of a batch lacks what every record has") from error
    if len(record_id) != 16 or not all(isinstance(text, str) for text in (*texts.values(), *told.values())):
        raise UnreadableRowsError("a record of a batch has fields of another kind")
    caller, version = texts["webservice"], texts["version"]
    who = _Source(ANONYMOUS if caller in UNKNOWN else caller, texts["model"], "" if version in UNKNOWN else version)
    asked = _asked(ROWS_PATH, who, told, JSON, seconds)
    return Record(record_id, seconds, _role(texts["identifier"]), texts["correlation_id"], asked, content)


class _Source(NamedTuple):
    caller: str
    model: str
    version: str


def _asked(path: str, who: _Source, told: Mapping[str, Any], media_type: str, seconds: float) -> Asked:
    context: Mapping[str, str] = told.get("context", {})
    headers = {name: value for name, value in context.items() if name in TRACE_HEADERS}
    if told["correlation_id"]:
        headers["x-request-id"] = told["correlation_id"]
    metadata = {
        "headers": headers,
        "query": {},
        "path": path,
        "caller": who.caller,
        "model": who.model,
        "version": who.version,
        "origin": "collect",
        "timestamp": seconds,
        **told,
    }
    head = Head(("POST", "", "HTTP/1.1"), (("content-type", media_type),))
    return Asked(Route("rows", who.model, who.version), who.caller, metadata, head, who)


def _role(place: str) -> Role:
    return _ROLES.get(place.lower(), Role.NEITHER)


def _seconds(text: str | None, now: float) -> float:
    try:
        seconds = float(text or "")
    except ValueError:
        return now
    return seconds if math.isfinite(seconds) and 0 < seconds < 1e11 else now


def _readable(value: str) -> str:
    """A header's value as text that can be written: bytes that are no UTF-8 are read as Latin-1."""
    try:
        return value.encode().decode()
    except UnicodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
