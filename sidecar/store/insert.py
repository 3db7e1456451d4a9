"""Two statements that both databases have in their own dialect: insert what is not there, and add to a count.

Owns no table. Runs inside the transaction of the connection it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> list[bool]:
    """Insert `rows`; True for each that is new, False where a unique key was there already or stands twice in `rows`.

    One statement for all when every row is new, as is usual; row by row only when that one was refused.
    """
    if not rows:
        return []
    try:
        with connection.begin_nested():
            connection.execute(table.insert(), rows)
    except sqlalchemy.exc.IntegrityError:
        statement = _insert(connection, table).on_conflict_do_nothing()
        return [connection.execute(statement, row).rowcount == 1 for row in rows]
    return [True] * len(rows)


def add_counts(connection: Connection, table: Table, rows: Sequence[Row], count: str = "count") -> None:
    """Add each row's `count` to the row with the same primary key, or insert it."""
    if not rows:
        return
    statement = _insert(connection, table)
    statement = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={count: table.c[count] + statement.excluded[count]},
    )
    connection.execute(statement, rows)


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
