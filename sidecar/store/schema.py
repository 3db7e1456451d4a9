"""The tables' version: makes them where there are none, and refuses those that another version of ours made.

There is no migration: who has a database of another version keeps it for that version, or starts anew beside it.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, inspect, select
from sqlmodel import SQLModel

from sidecar.errors import ConfigurationError, Problem
from sidecar.store.tables import JOB, SCHEMA, SCHEMA_VERSION, TABLES


def make_tables(connection: Connection, where: str) -> None:
    """Make what is missing; `where` names the database to people. Raises ConfigurationError, having changed nothing."""
    found = _version(connection)
    if found is None:
        SQLModel.metadata.create_all(connection, tables=TABLES)
        connection.execute(insert(SCHEMA_VERSION).values(version=SCHEMA))
    elif found != SCHEMA:
        message = (
            f"was made by another version of the sidecar (schema {found}, this version has {SCHEMA}): move it away, "
            "name another folder with --data, or run the version that made it"
        )
        raise ConfigurationError(Problem(message, file=where))


def _version(connection: Connection) -> int | None:
    """The schema's version; None in an empty database. The first had no number."""
    names = set(inspect(connection).get_table_names())
    if SCHEMA_VERSION.name in names:
        return connection.execute(select(SCHEMA_VERSION.c.version)).scalar()
    return 1 if JOB.name in names else None
