"""Transactions on a real SQLite file."""

from __future__ import annotations

import asyncio
import functools
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

from sidecar.errors import CapacityError
from sidecar.store.database import Database, sqlite_url
from sidecar.store.insert import add_counts, insert_new
from sidecar.store.tables import INPUT, SECRET, TALLY


def tally(collector: str, count: int) -> dict[str, object]:
    return {"collector": collector, "verdict": "matched", "reason": "", "count": count}


def secret(name: str) -> dict[str, object]:
    return {"id": name, "ciphertext": b"x", "created_at": 1.0}


async def test_what_is_written_survives_a_reopening(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        await database.write(lambda c: add_counts(c, TALLY, [tally("a", 2)]))
        await database.write(lambda c: add_counts(c, TALLY, [tally("a", 3), tally("b", 1)]))
    async with Database(sqlite_url(tmp_path)) as database:
        rows = await database.read(lambda c: c.execute(sqlalchemy.select(TALLY.c.collector, TALLY.c.count)).all())
    assert sorted(tuple(row) for row in rows) == [("a", 5), ("b", 1)]


async def test_commits_are_durable(tmp_path: Path) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names]

    async with Database(sqlite_url(tmp_path)) as database:
        assert await database.write(pragmas) == ["wal", 2, 1]


async def test_an_error_undoes_the_whole_transaction(tmp_path: Path) -> None:
    def fails(connection: Connection) -> None:
        add_counts(connection, TALLY, [tally("a", 1)])
        raise LookupError("half way")

    async with Database(sqlite_url(tmp_path)) as database:
        with pytest.raises(LookupError):
            await database.write(fails)
        assert await database.read(lambda c: c.execute(sqlalchemy.select(TALLY)).all()) == []


async def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    inside, released = threading.Event(), threading.Event()

    def writes(connection: Connection) -> None:
        add_counts(connection, TALLY, [tally("a", 1)])
        inside.set()
        released.wait(10)

    async with Database(sqlite_url(tmp_path)) as database:
        writing = database._writer.submit(database._transact, writes)
        inside.wait(10)
        try:
            assert await database.read(lambda c: c.execute(sqlalchemy.select(TALLY)).all()) == []
            assert not writing.done()
        finally:
            released.set()


async def test_two_processes_that_write_take_turns(tmp_path: Path) -> None:
    inside, passed = threading.Event(), threading.Event()

    def reads_then_writes(connection: Connection) -> None:
        connection.execute(sqlalchemy.select(TALLY)).all()
        inside.set()
        passed.wait(0.2)  # were the other let in here, this view would be stale and the write refused
        add_counts(connection, TALLY, [tally("a", 1)])

    async with Database(sqlite_url(tmp_path)) as one, Database(sqlite_url(tmp_path)) as other:
        writing = one._writer.submit(one._transact, reads_then_writes)
        inside.wait(10)
        await other.write(lambda c: add_counts(c, TALLY, [tally("a", 1)]))
        passed.set()
        await asyncio.wrap_future(writing)
        assert await one.read(lambda c: c.execute(sqlalchemy.select(TALLY.c.count)).scalar_one()) == 2


async def test_a_full_disk_is_a_capacity_error_and_passes(tmp_path: Path) -> None:
    def large(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.execute(SECRET.insert(), [secret("large") | {"ciphertext": bytes(1_000_000)}])

    async with Database(sqlite_url(tmp_path)) as database:
        with pytest.raises(CapacityError, match="disk is full"):
            await database.write(lambda c: large(c, 1))
        await database.write(lambda c: large(c, 10**9))


async def test_other_faults_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        with pytest.raises(sqlalchemy.exc.OperationalError):
            await database.write(lambda c: c.execute(text("SELECT * FROM nowhere")))


async def test_an_error_tells_no_parameters(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        statement = text("SELECT * FROM nowhere WHERE body = :body")
        with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
            await database.write(lambda c: c.execute(statement, {"body": "captured"}))
    assert "captured" not in str(caught.value) + repr(caught.value)


async def test_a_database_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(sqlalchemy.exc.OperationalError):
        async with Database(sqlite_url(tmp_path / "missing")):
            pass
    names = [thread.name for thread in threading.enumerate()[before:]]
    assert not [name for name in names if name.startswith("store")]


async def test_closing_twice_is_safe(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    await database.close()
    await database.close()


async def test_insert_new_tells_the_new_from_the_known(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        assert await database.write(lambda c: insert_new(c, SECRET, [])) == []
        assert await database.write(lambda c: insert_new(c, SECRET, [secret("a"), secret("b")])) == [True, True]
        mixed = [secret("c"), secret("a"), secret("d"), secret("d")]
        assert await database.write(lambda c: insert_new(c, SECRET, mixed)) == [True, False, True, False]
        rows = await database.read(lambda c: c.execute(sqlalchemy.select(SECRET.c.id)).scalars().all())
    assert sorted(rows) == ["a", "b", "c", "d"]


async def test_columns_that_rows_leave_out_have_their_defaults(tmp_path: Path) -> None:
    rows = [{"collector": name, "verdict": "matched"} for name in "ab"]
    async with Database(sqlite_url(tmp_path)) as database:
        assert await database.write(lambda c: insert_new(c, TALLY, rows)) == [True, True]
        found = await database.read(lambda c: c.execute(sqlalchemy.select(TALLY).order_by(TALLY.c.collector)).all())
    assert [tuple(each) for each in found] == [("a", "matched", "", 0), ("b", "matched", "", 0)]


async def test_a_limit_on_the_file_counts_as_a_full_disk_and_deleting_makes_room(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path), limit_bytes=2 * 1024 * 1024) as database:
        row = {"user_id": "u", "app_id": "a", "data": b"x" * 340_000, "created_at": 0.0}

        def insert(connection: Connection, name: int) -> None:
            connection.execute(INPUT.insert(), [row | {"id": str(name)}])

        for name in range(4):
            await database.write(functools.partial(insert, name=name))
        with pytest.raises(CapacityError):
            await database.write(functools.partial(insert, name=4))
        assert (tmp_path / "sidecar.db").stat().st_size <= 2 * 1024 * 1024
        await database.write(lambda connection: connection.execute(INPUT.delete()))
        await database.write(functools.partial(insert, name=99))


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_no_other_user_reads_what_was_captured(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)):
        modes = modes_in(tmp_path)
    assert set(modes.values()) == {0o600}, modes
