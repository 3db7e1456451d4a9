"""The table of the destination `sql`: its columns, a parcel as its row, and the statement that stores one once. Pure.

    input_id         the primary key: 32 hexadecimal digits, the same at every try
    collector, caller, model, version            texts
    exchange_id, input_index                     the exchange, and which of its inputs this is
    started_at       when the exchange started   kept_at   when the input entered the queue; both in UTC
    status           the answer's HTTP status, 0 when there was none
    latency_seconds  to the end of the answer    sampling_rate   in (0, 1]: a count is divided by it
    traceparent, request_id                      as the caller sent them, or NULL
    input            what the collector posts    output   the model's, or NULL

`input` and `output` are JSON in the shape of the data model, as `GET /v2/inputs` shows it: JSONB in PostgreSQL, JSON
elsewhere. A table that somebody made may have more columns, with defaults, as long as it has these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from sqlalchemy import JSON, Column, DateTime, Double, Executable, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql, postgresql, sqlite

from sidecar.data import to_wire
from sidecar.delivery.destination import Parcel
from sidecar.kit.json import dumps

MYSQL = ("mysql", "mariadb")
_ID_CHARACTERS = 64
_OTHER_BYTES = 65_536
"""What the statement's text and the other columns take at most, generously."""
_JSON = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_TIME = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MYSQL)


def table_named(name: str) -> Table:
    """The table `name`, which may be `schema.name`."""
    schema, _, plain = name.rpartition(".")
    return Table(
        plain,
        MetaData(),
        Column("input_id", String(_ID_CHARACTERS), primary_key=True),
        Column("collector", Text, nullable=False),
        Column("caller", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("exchange_id", String(_ID_CHARACTERS), nullable=False),
        Column("input_index", Integer, nullable=False),
        Column("started_at", _TIME, nullable=False),
        Column("kept_at", _TIME, nullable=False),
        Column("status", Integer, nullable=False),
        Column("latency_seconds", Double, nullable=False),
        Column("sampling_rate", Double, nullable=False),
        Column("traceparent", Text),
        Column("request_id", Text),
        Column("input", _JSON, nullable=False),
        Column("output", _JSON),
        schema=schema or None,
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


def row_of(parcel: Parcel, *, has_output: bool = True) -> dict[str, Any]:
    """The row of a parcel. Raises TypeError for data that JSON cannot say."""
    details = parcel.details()
    posted = parcel.wire or dumps(to_wire(parcel.data))
    output = parcel.output_wire if has_output else None
    return {
        "input_id": parcel.input_id,
        "collector": parcel.collector,
        "caller": parcel.caller,
        "model": parcel.model,
        "version": parcel.version,
        "exchange_id": parcel.exchange_id,
        "input_index": parcel.input_index,
        "started_at": datetime.fromtimestamp(details.started_at, UTC),
        "kept_at": datetime.fromtimestamp(parcel.created_at, UTC),
        "status": details.status,
        "latency_seconds": details.latency_seconds,
        "sampling_rate": details.sampling_rate,
        "traceparent": details.headers.get("traceparent"),
        "request_id": details.headers.get("x-request-id"),
        "input": posted.decode(),
        "output": None if output is None else output.decode(),
    }


def statement_bytes(row: Mapping[str, Any]) -> int:
    """At most as many bytes as MySQL's client sends for a row: quotes and backslashes in its JSON are escaped."""
    written: list[str] = [row["input"], row["output"] or ""]
    return _OTHER_BYTES + sum(len(text.encode()) + text.count('"') + text.count("\\") for text in written)


def as_it_is(text: str) -> str:
    """`json_serializer` of an engine for these rows: their JSON is written already."""
    return text


def insertion(dialect: str, table: Table) -> Executable:
    """The statement that stores a row unless its id is there. In a dialect that has none, a plain one."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing(index_elements=[table.c.input_id])
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=[table.c.input_id])
    if dialect in MYSQL:
        return mysql.insert(table).on_duplicate_key_update(input_id=table.c.input_id)
    return sqlalchemy.insert(table)
