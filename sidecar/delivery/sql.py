"""Inputs become rows of a table in any database that SQLAlchemy knows.

Owns an engine with one connection, used in threads that nothing waits for at exit. Promises an outcome for every parcel
within a bound, also where a database never answers: the statement that hangs costs one thread, and until it has ended
nothing more is asked. An id that is there already is success: an earlier try had stored it. A row that the database
refuses takes no other along. What an error means is `sql_judge`'s.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.schema import CreateTable

from sidecar.delivery.destination import Parcel
from sidecar.delivery.groups import post_groups
from sidecar.delivery.judge import Verdict
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.secret import SecretOf, reveal
from sidecar.delivery.sql_judge import judge_error
from sidecar.delivery.sql_options import SqlOptions, read_url
from sidecar.delivery.sql_table import MYSQL, as_it_is, insertion, row_of, statement_bytes, table_named
from sidecar.errors import CapacityError
from sidecar.kit import frames
from sidecar.kit.threads import in_daemon_thread

MAX_BATCH = 256
_STEPS = 3
"""Connecting, a statement and a commit, each within the time that the options give, before nobody waits any more."""
_CLOSE_SECONDS = 5.0
_ATOMIC = ("postgresql", "sqlite", *MYSQL)
"""Where a statement of its own passes over an id that is there."""


class Item(NamedTuple):
    """One input as a row, and its place among the parcels."""

    place: int
    row: Mapping[str, Any]


class SqlTable:
    """Stores each parcel as a row."""

    max_batch = MAX_BATCH

    def __init__(self, options: SqlOptions, secret_of: SecretOf) -> None:
        self._options = options
        self._secret_of = secret_of
        self._table = table_named(options.table)
        self._engine = _open_engine(options)
        self._insertion = insertion(self._engine.dialect.name, self._table)
        self._is_there = not options.create
        self._password = ""
        self._packet_bytes: int | None = None
        self._under_way: asyncio.Future[None] | None = None
        event.listen(self._engine, "do_connect", self._sign_in)

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Store `parcels` in one transaction, or in as few as it takes to leave out what is refused."""
        password = await reveal(self._options.password, self._secret_of) if self._options.password else ""
        if not isinstance(password, str):
            return [password] * len(parcels)
        self._password = password
        written = [self._item(place, parcel) for place, parcel in enumerate(parcels)]
        items = [item for item in written if isinstance(item, Item)]
        outcomes: dict[int, Outcome] = {place: item for place, item in enumerate(written) if isinstance(item, Rejected)}
        outcomes.update(await post_groups([items] if items else [], self._post))
        return [outcomes[place] for place in range(len(parcels))]

    async def close(self) -> None:
        """Let a statement that is under way end, for a moment, and close the connection; safe twice."""
        if self._under_way is not None:
            await asyncio.wait((self._under_way,), timeout=_CLOSE_SECONDS)
        self._engine.dispose()

    def _item(self, place: int, parcel: Parcel) -> Item | Rejected:
        try:
            return Item(place, row_of(parcel, has_output=self._options.with_output))
        except TypeError as error:
            return Rejected("unencodable", f"the input cannot be written as JSON: {error}")

    async def _post(self, group: Sequence[Item]) -> Verdict:
        outcome, is_about_a_row = await self._try([item.row for item in group])
        return Verdict([outcome] * len(group), is_about_a_row and len(group) > 1)

    async def _try(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Outcome, bool]:
        if self._under_way is not None and not self._under_way.done():
            return Retry("timeout", "an earlier statement still hangs"), False
        self._under_way = in_daemon_thread(functools.partial(self._write, rows), f"sql {self._options.table}")
        limit_seconds = _STEPS * self._options.timeout_seconds
        try:
            async with asyncio.timeout(limit_seconds):
                await asyncio.shield(self._under_way)
        except TimeoutError:
            return Retry("timeout", f"the database has not answered within {limit_seconds:g} s"), False
        except CapacityError as error:
            return Rejected("too_large", str(error)), True
        except sqlalchemy.exc.DBAPIError as error:
            frames.clear(error)
            return judge_error(error)
        return Delivered(), False

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """In a thread. Raises DBAPIError, or CapacityError for a row that the database's protocol cannot carry."""
        if not self._is_there:
            self._make_table()
        with self._engine.begin() as connection:
            self._bound(connection)
            if connection.dialect.name in MYSQL:
                self._refuse_what_no_packet_holds(connection, rows)
            new = rows if connection.dialect.name in _ATOMIC else self._new_among(connection, rows)
            if new:
                connection.execute(self._insertion, new)

    def _make_table(self) -> None:
        with self._engine.connect() as connection:
            self._bound(connection)
            if not _has(connection, self._table):
                self._create(connection)
        self._is_there = True

    def _create(self, connection: Connection) -> None:
        try:
            connection.execute(CreateTable(self._table))
            connection.commit()
        except sqlalchemy.exc.DBAPIError:
            connection.rollback()
            if not _has(connection, self._table):  # else another sidecar has just made it
                raise

    def _bound(self, connection: Connection) -> None:
        """The others bound a statement by what they connect with."""
        if connection.dialect.name == "postgresql":
            milliseconds = math.ceil(self._options.timeout_seconds * 1000)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

    def _refuse_what_no_packet_holds(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Sent, it would cut the connection, and look like an outage that passes."""
        if self._packet_bytes is None:
            self._packet_bytes = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
        largest = max(map(statement_bytes, rows))
        if largest > self._packet_bytes:
            raise CapacityError(f"the row takes {largest} bytes, max_allowed_packet is {self._packet_bytes}")

    def _new_among(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        wanted = {row["input_id"]: row for row in rows}
        known = sqlalchemy.select(self._table.c.input_id).where(self._table.c.input_id.in_(wanted))
        for input_id in connection.execute(known).scalars():
            del wanted[input_id]
        return list(wanted.values())

    def _sign_in(self, _dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> None:
        """At each new connection, so that a rotated password just works."""
        if self._password:
            parameters["password"] = self._password


def _has(connection: Connection, table: sqlalchemy.Table) -> bool:
    return sqlalchemy.inspect(connection).has_table(table.name, schema=table.schema)


def _open_engine(options: SqlOptions) -> Engine:
    url = read_url(options.url)
    return sqlalchemy.create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=as_it_is,
        connect_args=_limits(url.get_dialect().driver, options.timeout_seconds),
    )


def _limits(driver: str, seconds: float) -> dict[str, Any]:
    """What the drivers that we know wait for at most, by their own names."""
    if driver == "psycopg":
        # a pooler hands its connections on after each transaction: nothing may be prepared on one
        return {"connect_timeout": math.ceil(seconds), "prepare_threshold": None}
    if driver == "pymysql":
        return {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
    return {"timeout": seconds} if driver == "pysqlite" else {}
