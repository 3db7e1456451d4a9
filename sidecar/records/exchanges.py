"""Our own JSONL: one exchange a line, decoded, so that it can be redacted and read again whatever protocol it came by.

    format            "exchange/1"
    id                32 hexadecimal digits
    started_at        seconds since the epoch          latency_seconds   to the end of the answer
    caller, model, version, user, app, protocol        texts; `user` and `app` own the model, where the path names them
    metadata          what every input's metadata is, unless an input has its own: allow-listed headers with trace ids,
                      query, path, caller, model, version, status (0: no answer), latency_ms
    inputs            each in the shape of the data model, as `GET /v2/inputs` shows it
    outputs           as many; null where the model gave none that can be read
    error             why the request is undecoded          output_error   why every output is null
    first_index       the first input's index in the exchange
    collector         whose record it is; blank: of exchanges as they came
    sample_exchanges, sample_inputs                    the rates that let it into the record, to re-weight counts by
    input_id          the id of its only input in an app, where it comes from one

What has a default (1 for the rates, else blank, 0 or {}) may be missing; names that are not known are passed over. No
header but those in `metadata` is in it, so no credential. Reading makes an input or an output when it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from sidecar.data import Data, Json, from_wire, to_wire
from sidecar.kit.json import dumps
from sidecar.protocol.call import Call, Items
from sidecar.records.recorded import Recorded, RecordError

FORMAT = "exchange/1"
_TEXTS = ("caller", "model", "version", "user", "app", "protocol", "error", "output_error", "collector", "input_id")
_ID_BYTES = 16


def write_exchange(recorded: Recorded) -> bytes:
    """The line of `recorded`, with its line end. Raises orjson's JSONEncodeError for data that JSON cannot say."""
    call = recorded.call
    inputs = [to_wire(data) for data in call.inputs]
    shared = inputs[0].get("metadata", {}) if inputs else {}
    for wire in inputs:
        if wire.setdefault("metadata", {}) == shared:
            del wire["metadata"]
    line = {
        "format": FORMAT,
        "id": recorded.id.hex(),
        "started_at": recorded.started_at,
        "latency_seconds": recorded.latency_seconds,
        "caller": recorded.caller,
        "model": call.model,
        "version": call.version,
        "user": call.user,
        "app": call.app,
        "protocol": call.protocol,
        "metadata": shared,
        "inputs": inputs,
        "outputs": [None if data is None else to_wire(data) for data in call.outputs],
        "error": call.error,
        "output_error": call.output_error,
        "first_index": recorded.first_index,
        "collector": recorded.collector,
        "sample_exchanges": recorded.sample_exchanges,
        "sample_inputs": recorded.sample_inputs,
    }
    if recorded.input_id:
        line["input_id"] = recorded.input_id
    return dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def read_exchange(document: Json) -> Recorded:
    """The exchange of a line's JSON. Raises RecordError; data that is none shows when it is looked at, in from_wire."""
    inputs, outputs = document.get("inputs"), document.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise RecordError("inputs and outputs must be lists of one length")
    caller, model, version, user, app, protocol, error, output_error, collector, input_id = _texts(document)
    metadata = document.get("metadata", {})
    if not isinstance(metadata, dict):
        raise RecordError("metadata: must be an object")
    return Recorded(
        _id(document.get("id")),
        _number(document, "started_at", 0.0),
        _number(document, "latency_seconds", 0.0),
        caller,
        Call(
            protocol, model, version, user, app, _inputs(inputs, metadata), _outputs(outputs), error, output_error
        ),
        _index(document.get("first_index", 0)),
        collector,
        _rate(document, "sample_exchanges"),
        _rate(document, "sample_inputs"),
        input_id,
    )  # fmt: skip


def _texts(document: Json) -> list[str]:
    texts = [document.get(name, "") for name in _TEXTS]
    if not all(isinstance(text, str) for text in texts):
        raise RecordError(f"must be texts: {', '.join(_TEXTS)}")
    return texts


def _inputs(wires: list[Any], metadata: Mapping[str, Any]) -> Items:
    def read(wire: Any) -> Data:  # noqa: ANN401 - any JSON value
        if isinstance(wire, dict) and metadata and "metadata" not in wire:
            wire = {**wire, "metadata": metadata}
        return from_wire(wire, "inputs")

    return Items(wires, read)


def _outputs(wires: list[Any]) -> Sequence[Data | None]:
    if None not in wires:
        return Items(wires, _output)
    return [None if wire is None else _output(wire) for wire in wires]


def _output(wire: object) -> Data:
    return from_wire(wire, "outputs")


def _id(text: object) -> bytes:
    try:
        content = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        content = b""
    if len(content) != _ID_BYTES:
        raise RecordError("id: must be 32 hexadecimal digits")
    return content


def _number(document: Json, name: str, default: float) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecordError(f"{name}: must be a number")
    return float(value)


def _rate(document: Json, name: str) -> float:
    value = _number(document, name, 1.0)
    if not 0.0 < value <= 1.0:
        raise RecordError(f"{name}: must be above 0 and at most 1")
    return value


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RecordError("first_index: must be a whole number from 0")
    return value
