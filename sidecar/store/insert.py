"""Statements that both databases have in their own dialect: take ids, insert what is not there, and add to a count.

Owns no table. Runs inside the transaction of the connection it is given. Statements are built once: that costs more
than running them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Dialect, Table, case
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import ScalarElementColumnDefault

Row = Mapping[str, Any]


def take_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """`count` ids for new rows of `table`, in order: none was ever a row's. They must be used in this transaction."""
    if connection.dialect.name == "postgresql":
        numbers = {"name": table.name, "count": count}
        return connection.execute(_NEXT_IDS, numbers).scalars().all()
    last = connection.execute(_LAST_ID, {"name": table.name}).scalar() or 0
    return range(last + 1, last + 1 + count)


_LAST_ID = sqlalchemy.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
_NEXT_IDS = sqlalchemy.text(
    "SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count) ORDER BY 1"
)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> list[bool]:
    """Insert `rows`; True for each that is new, False where a unique key was there already or stands twice in `rows`.
    All have the same columns, every one without a default among them.

    One statement for all when every row is new, as is usual; row by row only when that one was refused.
    """
    if not rows:
        return []
    try:
        with connection.begin_nested():
            insertion = _insertion(connection.dialect, table, tuple(rows[0]))
            connection.exec_driver_sql(insertion.text, [insertion.pick(row) for row in rows])
    except sqlalchemy.exc.IntegrityError:
        statement = _passing_over(connection.dialect.name, table)
        return [connection.execute(statement, row).rowcount == 1 for row in rows]
    return [True] * len(rows)


def add_counts(connection: Connection, table: Table, rows: Sequence[Row], latest: str = "") -> None:
    """Add each row's `count` to the row with the same primary key, or insert it; of the column `latest` the larger one
    stays."""
    if rows:
        connection.execute(_adding(connection.dialect.name, table, latest), rows)


class _Insertion(NamedTuple):
    """A statement in the driver's own words: sqlalchemy's work on each row costs as much as the row's insertion."""

    text: str
    pick: Callable[[Row], Any]
    """A row as the driver wants it."""


@functools.cache
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> _Insertion:
    compiled = table.insert().inline().compile(dialect=dialect, column_keys=columns)
    defaults = {
        column.name: column.default.arg
        for column in table.c
        if isinstance(column.default, ScalarElementColumnDefault) and column.name not in columns
    }
    order: list[str] | None = getattr(compiled, "positiontup", None)  # none where parameters are named
    if order is None:
        return _Insertion(str(compiled), lambda row: {**defaults, **row})
    if not defaults:
        return _Insertion(str(compiled), operator.itemgetter(*order))
    return _Insertion(str(compiled), lambda row: tuple([row[n] if n in row else defaults[n] for n in order]))


@functools.cache
def _passing_over(dialect: str, table: Table) -> Insert:
    statement: Insert = _dialect(dialect).insert(table).on_conflict_do_nothing()
    return statement


@functools.cache
def _adding(dialect: str, table: Table, latest: str) -> Insert:
    statement = _dialect(dialect).insert(table)
    old, new = table.c, statement.excluded
    changed: dict[str, ColumnElement[Any]] = {"count": old["count"] + new["count"]}
    if latest:
        changed[latest] = case((new[latest] > old[latest], new[latest]), else_=old[latest])
    adding: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)
    return adding


def _dialect(name: str) -> ModuleType:
    """The dialect in use alone: the other's module is not small."""
    if name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql
    from sqlalchemy.dialects import sqlite

    return sqlite
