"""Record files as SageMaker's data capture has them: one line an input. Source: the contract on neighbouring formats.

    {model}/{version}/{yyyy}/{mm}/{dd}/{hh}/{name}.jsonl

What is binary is BASE64 with its own media type, anything else a JSON list of one item as `cells` has it; of one
unnamed tensor it is the value alone, and an output is a row where its input is one. Status, latency, rates and trace
ids are more names in `eventMetadata`, which SageMaker's readers pass over. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from sidecar.data import Json
from sidecar.kit.clock import rfc3339
from sidecar.kit.json import dumps
from sidecar.records.cells import binary_of, row_of
from sidecar.records.entries import Entry
from sidecar.records.record_file import RecordFile, hour, join

VARIANT = "AllTraffic"


def write_sagemaker(entries: Sequence[Entry], name: str) -> Iterator[RecordFile]:
    """The files of `entries`; `name` is part of each file's name."""
    lines: dict[str, list[bytes]] = {}
    for entry in entries:
        known = entry.known
        folder = join(known.model, known.version or VARIANT, *hour(known.started_at))
        lines.setdefault(f"{folder}/{name}.jsonl", []).append(_line(entry))
    for path, content in lines.items():
        yield RecordFile(path, b"".join(content))


def _line(entry: Entry) -> bytes:
    known = entry.known
    is_row = not _is_bare(row_of(entry.given))
    captured = {"endpointInput": _side(entry.given, "INPUT", is_row)}
    if entry.output is not None:
        captured["endpointOutput"] = _side(entry.output, "OUTPUT", is_row)
    event = {
        "eventId": known.input_id,
        "inferenceId": entry.header("x-request-id") or known.exchange_id,
        "inferenceTime": rfc3339(known.started_at),
        "status": known.status,
        "latencySeconds": known.latency_seconds,
        "samplingRate": entry.sampling_rate,
        "traceparent": entry.header("traceparent"),
        "caller": known.caller,
        "collector": known.collector,
        "exchangeId": known.exchange_id,
        "inputIndex": known.input_index,
    }
    line = {"captureData": captured, "eventMetadata": event, "eventVersion": "0"}
    return dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _side(wire: Json, mode: str, is_row: bool) -> Json:
    binary = binary_of(wire)
    if binary is None:
        side = {"observedContentType": "application/json", "encoding": "JSON"}
        return {**side, "mode": mode, "data": orjson.dumps([_item(wire, is_row)]).decode()}
    side = {"observedContentType": binary.media_type, "encoding": "BASE64"}
    return {**side, "mode": mode, "data": base64.b64encode(binary.content).decode()}


def _item(wire: Json, is_row: bool) -> Any:  # noqa: ANN401 - any JSON value
    row = row_of(wire)
    return row["value"] if _is_bare(row) and not is_row else row


def _is_bare(row: Json) -> bool:
    """True for the row of one unnamed tensor."""
    return row.keys() == {"value"}
