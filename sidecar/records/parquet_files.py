"""Record files in Parquet: one row an input, in columns of proper types, written and read back whole.

    {collector}/day={yyyy-mm-dd}/{name}.parquet

`SCHEMA` is the documented one; `input_…` and `output_…` are made by `parquet_values`. Stands on pyarrow (extra
`parquet`), which is imported at first use. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import orjson

from sidecar.data import Json
from sidecar.errors import ConfigurationError
from sidecar.records.entries import Entry
from sidecar.records.exchanges import read_exchange
from sidecar.records.parquet_values import columns_of, wire_of
from sidecar.records.record_file import RecordFile, day, join
from sidecar.records.recorded import Recorded, RecordError

MISSING = "needs the extra `parquet`: pip install 'collector-sidecar[parquet]'"
ROWS_AT_ONCE = 1000
_CONCEPT = "struct<id: string, name: string, value: double>"
_TENSOR = (
    "struct<name: string, datatype: string, shape: list<int64>, dims: list<int64>, numbers: list<double>, "
    "whole: bool, texts: list<string>, json: string>"
)
_MEDIUM = "struct<kind: string, content: binary, url: string, media_type: string, allow_duplicate_url: bool>"
_DATA = {
    "text": "string",
    "concepts": f"list<{_CONCEPT}>",
    "tensors": f"list<{_TENSOR}>",
    "media": f"list<{_MEDIUM}>",
    "rest": "string",
}
SCHEMA = {
    "input_id": "string",
    "exchange_id": "string",
    "input_index": "int64",
    "collector": "string",
    "caller": "string",
    "model": "string",
    "version": "string",
    "started_at": "timestamp[us, UTC]",
    "kept_at": "timestamp[us, UTC]",
    "status": "int32",
    "latency_seconds": "double",
    "sample_exchanges": "double",
    "sample_inputs": "double",
    "sampling_rate": "double",
    "traceparent": "string",
    "x_request_id": "string",
    **{f"input_{name}": kind for name, kind in _DATA.items()},
    "has_output": "bool",
    **{f"output_{name}": kind for name, kind in _DATA.items()},
    "posted": "string",
}
"""Column → type, as the README shows it."""


def write_parquet(entries: Sequence[Entry], name: str) -> Iterator[RecordFile]:
    """The files of `entries`; `name` is part of each file's name."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        folder = f"{join(entry.known.collector.replace('/', '.'))}/day={day(entry.known.started_at)}"
        groups.setdefault(folder, []).append(entry)
    for folder, group in groups.items():
        yield RecordFile(f"{folder}/{name}.parquet", _table(group))


def read_parquet(file: IO[bytes]) -> Iterator[Recorded | RecordError]:
    """The exchanges of a file of ours, some rows at a time; what one row lacks is given in its place.

    Raises RecordError for a file that is none, ConfigurationError without the extra.
    """
    arrow, parquet = _libraries()
    try:
        reader = parquet.ParquetFile(file)
        lacking = sorted(SCHEMA.keys() - set(reader.schema_arrow.names))
        if lacking:
            raise RecordError(f"is no record of ours: it has no column {lacking[0]}")
        for batch in reader.iter_batches(ROWS_AT_ONCE, columns=list(SCHEMA)):
            yield from map(_recorded, batch.to_pylist())
    except arrow.ArrowException as error:
        raise RecordError(f"is no Parquet that can be read: {type(error).__name__}") from error


def _table(entries: Sequence[Entry]) -> bytes:
    arrow, parquet = _libraries()
    schema = _schema(arrow)
    target = io.BytesIO()
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for at in range(0, len(entries), ROWS_AT_ONCE):
            rows = [_row(entry) for entry in entries[at : at + ROWS_AT_ONCE]]
            writer.write_batch(arrow.RecordBatch.from_pylist(rows, schema))
    return target.getvalue()


def _row(entry: Entry) -> dict[str, Any]:
    known = entry.known
    row = {name: value for name, value in known._asdict().items() if name in SCHEMA}
    return {
        **row,
        "started_at": round(known.started_at * 1e6),
        "kept_at": round(known.created_at * 1e6),
        "sampling_rate": entry.sampling_rate,
        "traceparent": entry.header("traceparent") or None,
        "x_request_id": entry.header("x-request-id") or None,
        "has_output": entry.output is not None,
        "posted": None if entry.posted is None else orjson.dumps(entry.posted).decode(),
        **{f"input_{name}": value for name, value in columns_of(entry.given).items()},
        **{f"output_{name}": value for name, value in columns_of(entry.output or {}).items()},
    }


def _recorded(row: dict[str, Any]) -> Recorded | RecordError:
    document = {name: row[name] for name in _AS_THEY_ARE}
    document |= {
        "id": row["exchange_id"],
        "first_index": row["input_index"],
        "started_at": row["started_at"].timestamp(),
        "inputs": [_data(row, "input_")],
        "outputs": [_data(row, "output_") if row["has_output"] else None],
    }
    try:
        return read_exchange(document)
    except RecordError as error:
        return error


_AS_THEY_ARE = (
    "input_id", "caller", "model", "version", "collector", "latency_seconds", "sample_exchanges", "sample_inputs",
)  # fmt: skip


def _data(row: dict[str, Any], prefix: str) -> Json:
    return wire_of({name: row[prefix + name] for name in _DATA})


def _schema(arrow: Any) -> Any:  # noqa: ANN401 - a module without types
    return arrow.schema([(name, _type(arrow, kind)) for name, kind in SCHEMA.items()])


def _type(arrow: Any, kind: str) -> Any:  # noqa: ANN401 - as above
    """The type that `kind` names: `list<…>`, `struct<name: …, …>`, or a plain one."""
    if kind.startswith("list<"):
        return arrow.list_(_type(arrow, kind[5:-1]))
    if kind.startswith("struct<"):
        return arrow.struct([(name, _type(arrow, inner)) for name, inner in _fields(kind[7:-1])])
    if kind == "timestamp[us, UTC]":
        return arrow.timestamp("us", "UTC")
    return arrow.type_for_alias(kind)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for field in text.split(", "):
        name, _, kind = field.partition(": ")
        yield name, kind


def _libraries() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(f"Parquet {MISSING}") from error
    return pyarrow, pyarrow.parquet
