"""Real databases: PostgreSQL and MariaDB, each with a user and a place of this test's own, and SQLite's file."""

from __future__ import annotations

import abc
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.pool import NullPool
from support.passage import Passage, passage

from contract.end import REFERENCE, Case, End
from sidecar.data import Data, Text
from sidecar.delivery.destination import Destination
from sidecar.delivery.sql_table import table_named
from sidecar.store.database import Database

_FILE = "it is a file of this machine"


class SqlEnd(End):
    """What they share: an administrator's own connection, by which the trouble is made."""

    kind = "sql"
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.1}
    secret = "a-very-secret-password"

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder, database)
        self.opened: list[Destination] = []
        """What is to be closed before the far side goes."""

    def administrator(self, url: str) -> Engine:
        return sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    @abc.abstractmethod
    def url(self) -> str:
        """Of the table's owner, without a password."""

    @property
    @abc.abstractmethod
    def engine(self) -> Engine:
        """The administrator's, at the place of the table."""

    def options(self) -> Mapping[str, Any]:
        return {"url": self.url(), "password": REFERENCE}

    async def stored(self) -> list[str]:
        with self.engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("inputs"):
                return []
            return list(connection.execute(sqlalchemy.text("SELECT input_id FROM inputs")).scalars())

    def do(self, *statements: str) -> None:
        with self.engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def make_table(self) -> None:
        with self.engine.connect() as connection:
            table_named("inputs").create(connection, checkfirst=True)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        self.do("CREATE TABLE inputs (other INTEGER)")
        yield
        self.do("DROP TABLE inputs")

    @asynccontextmanager
    async def refusing_one(self, input_id: str) -> AsyncIterator[None]:
        self.make_table()
        self.do(f"ALTER TABLE inputs ADD CONSTRAINT refused CHECK (input_id <> '{input_id}')")
        yield


class ServerEnd(SqlEnd):
    """A server, reached through a passage."""

    port: ClassVar[int]
    root: ClassVar[str]
    """The administrator's URL."""

    async def start(self) -> None:
        self.name = f"sidecar_{secrets.token_hex(6)}"
        self._running = AsyncExitStack()
        try:
            with self.administrator(self.root).connect() as connection:
                self._move_in(connection)
        except sqlalchemy.exc.OperationalError as error:
            pytest.skip(f"no server lets in its administrator at {self.root}: {error.orig}")
        self._running.callback(self._clean_up)
        self.passage: Passage = await self._running.enter_async_context(passage(self.port))

    async def stop(self) -> None:
        await self._running.aclose()

    @abc.abstractmethod
    def _move_in(self, connection: Connection) -> None: ...

    @abc.abstractmethod
    def _move_out(self, connection: Connection) -> None: ...

    def _clean_up(self) -> None:
        with self.administrator(self.root).connect() as connection:
            self._move_out(connection)

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        self.passage.close()
        yield
        await self.passage.open()

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self.make_table()
        self.passage.close_after(b"COMMIT")
        yield
        await self.passage.open()


class PostgresEnd(ServerEnd):
    port = 5432
    root = "postgresql+psycopg://postgres@127.0.0.1:5432/test?options=-csynchronous_commit%3Doff"

    def _move_in(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"CREATE ROLE {self.name} LOGIN PASSWORD '{self.secret}'")
        connection.exec_driver_sql(f"ALTER ROLE {self.name} SET synchronous_commit = off")
        connection.exec_driver_sql(f"CREATE SCHEMA {self.name} AUTHORIZATION {self.name}")

    def _move_out(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"DROP SCHEMA {self.name} CASCADE")
        connection.exec_driver_sql(f"DROP OWNED BY {self.name}")
        connection.exec_driver_sql(f"DROP ROLE {self.name}")

    def url(self) -> str:
        return f"postgresql://{self.name}@127.0.0.1:{self.passage.port}/test"

    @property
    def engine(self) -> Engine:
        return self.administrator(f"{self.root}%20-csearch_path%3D{self.name}%20-crole%3D{self.name}")

    @asynccontextmanager
    async def throttling(self) -> AsyncIterator[None]:
        self._alter("CONNECTION LIMIT 0")
        yield
        self._alter("CONNECTION LIMIT -1")

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        self._alter("NOLOGIN")
        yield
        self._alter("LOGIN")

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        self.make_table()
        with self.engine.connect().execution_options(isolation_level="READ COMMITTED") as holder:
            holder.exec_driver_sql("LOCK TABLE inputs")
            yield

    @asynccontextmanager
    async def too_small(self) -> AsyncIterator[Data]:
        self.make_table()
        self.do(
            "CREATE FUNCTION bound() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF length(NEW.input::text) > 50000 THEN RAISE program_limit_exceeded; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER bound BEFORE INSERT ON inputs FOR EACH ROW EXECUTE FUNCTION bound()",
        )
        yield Data(text=Text("x" * 60_000))

    def _alter(self, how: str) -> None:
        with self.administrator(self.root).connect() as connection:
            connection.exec_driver_sql(f"ALTER ROLE {self.name} {how}")


class MariaEnd(ServerEnd):
    port = 3306
    root = "mariadb+pymysql://root@127.0.0.1:3306/"

    def _move_in(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"CREATE DATABASE {self.name}")
        connection.exec_driver_sql(f"CREATE USER {self.name} IDENTIFIED BY '{self.secret}'")
        connection.exec_driver_sql(f"GRANT ALL ON {self.name}.* TO {self.name}")

    def _move_out(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"DROP DATABASE {self.name}")
        connection.exec_driver_sql(f"DROP USER {self.name}")

    def url(self) -> str:
        return f"mysql://{self.name}@127.0.0.1:{self.passage.port}/{self.name}"

    @property
    def engine(self) -> Engine:
        return self.administrator(f"{self.root}{self.name}")

    @asynccontextmanager
    async def throttling(self) -> AsyncIterator[None]:
        self.do(f"ALTER USER {self.name} WITH MAX_QUERIES_PER_HOUR 1")
        yield
        self.do(f"ALTER USER {self.name} WITH MAX_QUERIES_PER_HOUR 0")

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        self.do(f"SET PASSWORD FOR {self.name} = PASSWORD('another')")
        yield
        self.do(f"SET PASSWORD FOR {self.name} = PASSWORD('{self.secret}')")

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        self.make_table()
        with self.engine.connect() as holder:
            holder.exec_driver_sql("LOCK TABLES inputs WRITE")
            yield
            holder.exec_driver_sql("UNLOCK TABLES")

    @asynccontextmanager
    async def too_small(self) -> AsyncIterator[Data]:
        yield Data(text=Text("x" * 17 * 2**20))


class SqliteEnd(SqlEnd):
    secret = ""
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.THROTTLING: f"nothing counts its calls: {_FILE}",
        Case.LOCKED_OUT: f"there are no credentials: {_FILE}",
        Case.TOO_SMALL: "a row may have a gigabyte, and nothing as large is captured",
        Case.GOING_AWAY: f"it goes away together with the sidecar: {_FILE}",
    }

    async def start(self) -> None:
        self._path = self.folder / "kept.db"

    async def stop(self) -> None:
        """It goes with the test's folder."""

    def url(self) -> str:
        return f"sqlite:///{self._path}"

    def options(self) -> Mapping[str, Any]:
        return {"url": self.url()}

    @property
    def engine(self) -> Engine:
        return self.administrator(self.url())

    @asynccontextmanager
    async def refusing_one(self, input_id: str) -> AsyncIterator[None]:
        self.make_table()
        self.do(
            f"CREATE TRIGGER refused BEFORE INSERT ON inputs WHEN NEW.input_id = '{input_id}'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        yield

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[None]:
        """Something else stands where the file should."""
        self._path.mkdir()
        yield
        self._path.rmdir()

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        self.make_table()
        with contextlib.closing(self.engine.raw_connection()) as holder:
            holder.cursor().execute("BEGIN EXCLUSIVE")
            yield
