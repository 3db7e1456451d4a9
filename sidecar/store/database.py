"""Sessions on the database, SQLite in the data folder, off the event loop.

Owns the engine and two threads: one writes, one reads, so that a reader never waits for a commit and SQLite never sees
two writers. Promises that what `write` returns from is on the disk (WAL, `synchronous=FULL`), and that no error tells
a statement's parameters: these are captured bodies. A disk that is full raises CapacityError, so that the caller can
shrink what it wants to keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import sqlalchemy
from sqlalchemy import Connection, event

from sidecar.errors import CapacityError
from sidecar.store import input_search
from sidecar.store.schema import make_tables

T = TypeVar("T")
STEP_INSTRUCTIONS = 1000
"""Of SQLite's machine: some rows' insertion, about a tenth of a millisecond."""
_PAGE_BYTES = 16384
"""Captured bodies are of kilobytes: larger pages than SQLite's take a third off the processor time of writing them."""
_CHECKPOINT_BYTES = 512 * 1024
"""How much is moved from the log into the file at one time. SQLite's 4 MB hold a processor for 4 ms in the kernel,
where nobody's turn can be offered."""
_PRAGMAS = (
    f"page_size={_PAGE_BYTES}",
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={_CHECKPOINT_BYTES // _PAGE_BYTES}",
    "foreign_keys=ON",
    "busy_timeout=10000",
)
_FULL = ("disk is full", "disk I/O error")


DATABASE = "sidecar.db"
"""Its file's name in the data folder."""


def sqlite_url(data: Path) -> str:
    """The database in the data folder, as `Database` takes it."""
    return f"sqlite:///{data / DATABASE}"


class Database:
    """`write` and `read` run a function in one transaction, in a thread, and give back what it returns."""

    def __init__(
        self, url: str, limit_bytes: int | None = None, between_steps: Callable[[], None] | None = None
    ) -> None:
        """`limit_bytes` bounds the file: beyond it the disk counts as full. `between_steps` is called, from either
        thread, while SQLite is in the middle of long work."""
        self._engine = sqlalchemy.create_engine(url, pool_size=2, max_overflow=0, hide_parameters=True)
        _keep_from_others(self._engine.url.database)
        prepare = functools.partial(_prepare, limit_bytes=limit_bytes, between_steps=between_steps)
        event.listen(self._engine, "connect", prepare)
        event.listen(self._engine, "begin", _begin)
        self.name = self._engine.url.render_as_string(hide_password=True)
        """What tells it from other databases."""
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._reader = ThreadPoolExecutor(1, "store-read")

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Make the tables where there are none, and what finds the inputs in them.

        Raises ConfigurationError when another version of ours made them.
        """
        where = self._engine.url.database or "the database"

        def make(connection: Connection) -> None:
            make_tables(connection, where)
            input_search.prepare(connection)

        await self.write(make)

    async def close(self) -> None:
        """Wait for what is under way, then let go; safe twice."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.shutdown)
        await loop.run_in_executor(None, self._reader.shutdown)
        self._engine.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction. Raises CapacityError when the disk is full; nothing is then written."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent view; it must not write."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._look, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect().execution_options(sidecar_writes=True) as connection, connection.begin():
                return work(connection)
        except sqlalchemy.exc.OperationalError as error:
            full = _disk_full(error)
            if full is not None:
                raise CapacityError(f"the database's disk is full: {full}") from error
            raise

    def _look(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            return work(connection)


def _disk_full(error: BaseException | None) -> BaseException | None:
    """The driver's word that the disk is full, if that is where `error` came from.

    SQLite then ends the transaction by itself, and what is heard is that its savepoint is gone.
    """
    while error is not None:
        if isinstance(error, sqlalchemy.exc.OperationalError) and any(sign in str(error.orig) for sign in _FULL):
            return error.orig
        error = error.__context__
    return None


def _keep_from_others(file: str | None) -> None:
    """The file holds what was captured: no other user reads it, nor the files that SQLite puts beside it."""
    if file:
        with contextlib.suppress(OSError):  # SQLite says in its turn that the file cannot be had
            Path(file).touch(mode=0o600)


def _prepare(
    connection: sqlite3.Connection,
    _record: object,
    *,
    limit_bytes: int | None,
    between_steps: Callable[[], None] | None,
) -> None:
    connection.isolation_level = None
    if between_steps is not None:
        connection.set_progress_handler(between_steps, STEP_INSTRUCTIONS)
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    if limit_bytes is not None:
        (page_bytes,) = cursor.execute("PRAGMA page_size").fetchone()
        cursor.execute(f"PRAGMA max_page_count={max(limit_bytes // page_bytes, 1)}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """The driver's own transactions begin too late and cannot say that they will write."""
    writes = connection.get_execution_options().get("sidecar_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
