"""Statements in SQLite's own words: take ids, insert what is not there, and add to a count.

Owns no table. Runs inside the transaction of the connection it is given. Statements are built once: that costs more
than running them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Dialect, Table, case
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql.schema import ScalarElementColumnDefault

Row = Mapping[str, Any]


def take_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """`count` ids for new rows of `table`, in order: none was ever a row's. They must be used in this transaction."""
    last = connection.execute(_LAST_ID, {"name": table.name}).scalar() or 0
    return range(last + 1, last + 1 + count)


_LAST_ID = sqlalchemy.text("SELECT seq FROM sqlite_sequence WHERE name = :name")


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
        statement = _passing_over(table)
        return [connection.execute(statement, row).rowcount == 1 for row in rows]
    return [True] * len(rows)


def add_counts(connection: Connection, table: Table, rows: Sequence[Row], latest: str = "") -> None:
    """Add each row's `count` to the row with the same primary key, or insert it; of the column `latest` the larger one
    stays."""
    if rows:
        connection.execute(_adding(table, latest), rows)


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
    order = compiled.positiontup or ()
    if not defaults:
        return _Insertion(str(compiled), operator.itemgetter(*order))
    return _Insertion(str(compiled), lambda row: tuple([row[n] if n in row else defaults[n] for n in order]))


@functools.cache
def _passing_over(table: Table) -> Insert:
    return insert(table).on_conflict_do_nothing()


@functools.cache
def _adding(table: Table, latest: str) -> Insert:
    statement = insert(table)
    old, new = table.c, statement.excluded
    changed: dict[str, ColumnElement[Any]] = {"count": old["count"] + new["count"]}
    if latest:
        changed[latest] = case((new[latest] > old[latest], new[latest]), else_=old[latest])
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)
