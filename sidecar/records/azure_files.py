"""Record files as Azure's model data collection has them: rows of inputs and rows of outputs, apart. Source: the
contract, section 3.

    modelDataCollector/{model}/{version}/{model_inputs | model_outputs}/{yyyy}/{MM}/{dd}/{HH}/{name}.jsonl

The two lines of an input have its id as their `correlationid`. Binary content, and rows above 4 MB, are files of their
own beside the lines: `data` is then null and `dataref` their path. Status, latency, rates and trace ids are extension
attributes of the event, which Azure's readers pass over. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from sidecar.data import Json
from sidecar.kit.clock import rfc3339
from sidecar.kit.json import dumps
from sidecar.records.cells import binary_of, row_of
from sidecar.records.entries import Entry
from sidecar.records.record_file import RecordFile, hour, join

ROOT = "modelDataCollector"
DEPLOYMENT = "default"
IN_LINE_BYTES = 4_000_000
"""Largest payload that stands in its line."""


def write_azure(entries: Sequence[Entry], name: str) -> Iterator[RecordFile]:
    """The files of `entries`, what is referred to before the lines that do; `name` is part of each file's name."""
    lines: dict[str, list[bytes]] = {}
    for entry in entries:
        for collection, wire in (("model_inputs", entry.given), ("model_outputs", entry.output)):
            if wire is None:
                continue
            path = f"{_folder(entry, collection)}/{name}"
            written = lines.setdefault(path, [])
            raw = _apart(wire)
            reference = "" if raw is None else f"{path}-{len(written)}.raw"
            if raw is not None:
                yield RecordFile(reference, raw)
            written.append(_line(entry, collection, wire, reference))
    for path, content in lines.items():
        yield RecordFile(f"{path}.jsonl", b"".join(content))


def _folder(entry: Entry, collection: str) -> str:
    known = entry.known
    return join(ROOT, known.model, known.version or DEPLOYMENT, collection, *hour(known.started_at))


def _apart(wire: Json) -> bytes | None:
    """What is kept beside the line; None where it stands in it."""
    binary = binary_of(wire)
    if binary is not None:
        return binary.content
    rows = dumps([row_of(wire)])
    return rows if len(rows) > IN_LINE_BYTES else None


def _line(entry: Entry, collection: str, wire: Json, reference: str) -> bytes:
    known, binary = entry.known, binary_of(wire)
    rows = None if reference else [row_of(wire)]
    length = len(dumps(rows)) if rows else len(_apart(wire) or b"")
    is_output = collection == "model_outputs"
    event = {
        "specversion": "1.0",
        "id": f"{known.input_id}-{collection}",
        "source": f"/endpoints/{known.model}/deployments/{known.version or DEPLOYMENT}",
        "type": f"azureml.inference.{collection}",
        "datacontenttype": "application/json" if binary is None else binary.media_type,
        "time": rfc3339(known.started_at + (known.latency_seconds if is_output else 0.0)),
        "data": rows,
        "contentrange": f"bytes 0-{length - 1}/{length}",
        "correlationid": known.input_id,
        "xrequestid": entry.header("x-request-id"),
        "modelversion": known.version or DEPLOYMENT,
        "collectdatatype": "pandas.core.frame.DataFrame",
        "agent": "collector-sidecar",
        "status": known.status,
        "latencyseconds": known.latency_seconds,
        "samplingrate": entry.sampling_rate,
        "traceparent": entry.header("traceparent"),
        "caller": known.caller,
        "collector": known.collector,
        "exchangeid": known.exchange_id,
        "inputindex": known.input_index,
    }
    if reference:
        event |= {"dataref": reference, "datainblob": "false" if binary is None else "true"}
    return dumps(event, option=orjson.OPT_APPEND_NEWLINE)
