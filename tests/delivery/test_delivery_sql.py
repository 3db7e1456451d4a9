"""Rows in real databases: what is stored, what each fault means, and what people write to have it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy
from contract.parcels import STARTED_AT, TRACEPARENT, parcel
from contract.sql_end import MariaEnd, PostgresEnd, ServerEnd, SqlEnd, SqliteEnd
from sqlalchemy import event

from sidecar.collector import Destination
from sidecar.data import Data, Text, to_wire
from sidecar.delivery import sql
from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry
from sidecar.delivery.registry import check_options
from sidecar.delivery.sql import SqlTable
from sidecar.delivery.sql_options import SqlOptions
from sidecar.delivery.sql_table import table_named
from sidecar.errors import ConfigurationError
from sidecar.store.database import Database, sqlite_url

SERVERS = (PostgresEnd, MariaEnd)
SECRET = PostgresEnd.secret


async def secret_of(_reference: str) -> str | None:
    return SECRET


@pytest.fixture
async def end(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlEnd]:
    end: SqlEnd = request.param(tmp_path, Database(sqlite_url(tmp_path)))
    await end.start()
    yield end
    for destination in end.opened:
        await destination.close()
    await end.stop()


on_each = pytest.mark.parametrize("end", [*SERVERS, SqliteEnd], indirect=True)
on_two = pytest.mark.parametrize("end", [PostgresEnd, SqliteEnd], indirect=True)
on_servers = pytest.mark.parametrize("end", SERVERS, indirect=True)
on_postgresql = pytest.mark.parametrize("end", [PostgresEnd], indirect=True)
on_mariadb = pytest.mark.parametrize("end", [MariaEnd], indirect=True)
on_sqlite = pytest.mark.parametrize("end", [SqliteEnd], indirect=True)


def table_of(end: SqlEnd, **more: Any) -> SqlTable:
    table = SqlTable(SqlOptions.model_validate({**end.options(), **more}), secret_of)
    end.opened.append(table)
    return table


def rows(end: SqlEnd, name: str = "inputs") -> list[dict[str, Any]]:
    with end.engine.connect() as connection:
        found = connection.execute(sqlalchemy.select(table_named(name))).mappings()
        return [dict(row) for row in found]


@on_each
async def test_a_row_tells_all_of_its_exchange(end: SqlEnd) -> None:
    sent = parcel("a")._replace(wire=b"")
    assert await table_of(end).deliver([sent]) == [Delivered()]
    (row,) = rows(end)
    times = {name: row.pop(name).replace(tzinfo=UTC) for name in ("started_at", "kept_at")}
    assert times == {
        "started_at": datetime.fromtimestamp(STARTED_AT, UTC),
        "kept_at": datetime.fromtimestamp(STARTED_AT + 1, UTC),
    }
    assert row == {
        "input_id": sent.input_id,
        "collector": "watch",
        "caller": "alice",
        "model": "digits",
        "version": "1",
        "exchange_id": sent.exchange_id,
        "input_index": 0,
        "status": 200,
        "latency_seconds": 0.0125,
        "sampling_rate": pytest.approx(0.1),
        "traceparent": TRACEPARENT,
        "request_id": None,
        "input": to_wire(sent.data),
        "output": orjson.loads(sent.output_wire or b""),
    }


@on_two
async def test_an_output_that_is_not_there_or_not_wanted_is_null(end: SqlEnd) -> None:
    await table_of(end).deliver([parcel("a")._replace(output_wire=None)])
    await table_of(end, with_output=False).deliver([parcel("b")])
    with end.engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM inputs WHERE output IS NULL").scalar_one()
    assert count == 2


@on_each
async def test_any_text_arrives_as_it_was(end: SqlEnd) -> None:
    odd = "Zoë 😀 '\"\\ %s :x ; --"
    await table_of(end).deliver([parcel("a", Data(text=Text(odd)))._replace(caller=odd)])
    (row,) = rows(end)
    assert (row["caller"], row["input"]["text"]["raw"]) == (odd, odd)


@on_postgresql
async def test_the_database_reads_into_what_is_stored(end: SqlEnd) -> None:
    await table_of(end).deliver([parcel("a")])
    with end.engine.connect() as connection:
        query = "SELECT output->'concepts'->0->>'id' FROM inputs WHERE input->'text'->>'raw' = 'text of a'"
        assert connection.exec_driver_sql(query).scalar_one() == "cat"


@on_postgresql
async def test_what_only_the_database_cannot_hold_is_refused_alone_and_not_told(end: SqlEnd) -> None:
    nul = parcel("nul", Data(text=Text("private\x00word")))
    outcomes = await table_of(end).deliver([parcel("a"), parcel("b"), nul, parcel("c")])
    assert [type(each) for each in outcomes] == [Delivered, Delivered, Rejected, Delivered]
    assert outcomes[2] == Rejected("invalid_data", "the database refuses the row: UntranslatableCharacter 22P05")
    assert len(rows(end)) == 3


@on_servers
async def test_a_row_that_a_constraint_refuses_is_not_told(end: SqlEnd) -> None:
    destination = table_of(end)
    await destination.deliver([parcel("a")])
    end.do("ALTER TABLE inputs ADD CONSTRAINT none_of_bobs CHECK (caller <> 'bob')")
    (refused,) = await destination.deliver([parcel("b")._replace(caller="bob")])
    assert isinstance(refused, Rejected)
    assert refused.reason == "invalid_data"
    assert "bob" not in refused.detail.replace("none_of_bobs", "")


@on_postgresql
async def test_what_postgresql_says_decides(end: SqlEnd) -> None:
    """A trigger says it, as the database itself would."""
    destination = table_of(end)
    await destination.deliver([parcel("a")])
    for fault, kind, reason in (
        ("deadlock_detected", Retry, "conflict"),
        ("serialization_failure", Retry, "conflict"),
        ("disk_full", Retry, "disk_full"),
        ("read_only_sql_transaction", Retry, "read_only"),
        ("admin_shutdown", Retry, "connection_lost"),
        ("insufficient_privilege", Rejected, "forbidden"),
        ("undefined_column", Rejected, "table_unfit"),
        ("internal_error", Retry, "database_failed"),
    ):
        end.do(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE {fault} USING MESSAGE = 'said so'; END $$",
            "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON inputs FOR EACH ROW EXECUTE FUNCTION fails()",
        )
        assert await said_of_two(destination) == [(kind, reason)] * 2


@on_mariadb
async def test_what_mariadb_says_decides(end: SqlEnd) -> None:
    destination = table_of(end)
    await destination.deliver([parcel("a")])
    for number, kind, reason in (
        (1213, Retry, "conflict"),
        (1021, Retry, "disk_full"),
        (1290, Retry, "read_only"),
        (1142, Rejected, "forbidden"),
        (1030, Retry, "database_failed"),
    ):
        says = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'said so'"
        end.do(f"CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON inputs FOR EACH ROW {says}")
        assert await said_of_two(destination) == [(kind, reason)] * 2


async def said_of_two(destination: SqlTable) -> list[tuple[type[Outcome], str]]:
    """What becomes of two inputs, as far as the database's own words are in it."""
    outcomes = await destination.deliver([parcel("b"), parcel("c")])
    refused = [each for each in outcomes if isinstance(each, Retry | Rejected) and "said so" in each.detail]
    return [(type(each), each.reason) for each in refused]


@on_sqlite
async def test_a_full_disk_may_be_emptied(end: SqlEnd) -> None:
    destination = table_of(end)
    await destination.deliver([parcel("a")])
    large = parcel("b", Data(text=Text("x" * 100_000)))

    def leave_no_room(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 8")

    event.listen(destination._engine, "checkout", leave_no_room)
    (outcome,) = await destination.deliver([large])
    assert isinstance(outcome, Retry)
    assert outcome.reason == "disk_full"


@on_mariadb
async def test_the_password_is_asked_for_at_each_connection(end: SqlEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_PASSWORD", "wrong")
    destination = table_of(end, password={"env": "THE_PASSWORD"})
    (outcome,) = await destination.deliver([parcel("a")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "key_invalid"
    monkeypatch.setenv("THE_PASSWORD", SECRET)
    assert await destination.deliver([parcel("a")]) == [Delivered()]
    assert SECRET not in repr(destination._engine)


@on_postgresql
async def test_a_database_that_never_answers_costs_one_thread(end: ServerEnd) -> None:
    destination = table_of(end, timeout_seconds=0.1)
    await destination.deliver([parcel("a")])
    end.passage.block()
    (late,) = await destination.deliver([parcel("b")])
    (at_once,) = await destination.deliver([parcel("c")])
    assert late == Retry("timeout", "the database has not answered within 0.3 s")
    assert at_once == Retry("timeout", "an earlier statement still hangs")
    end.passage.unblock()
    assert destination._under_way is not None
    await destination._under_way
    assert await destination.deliver([parcel("b"), parcel("c")]) == [Delivered()] * 2


@on_servers
async def test_two_that_make_the_table_at_once_both_store(end: SqlEnd) -> None:
    pairs = [(table_of(end), parcel(name)) for name in "abcd"]
    outcomes = await asyncio.gather(*(table.deliver([sent]) for table, sent in pairs))
    assert outcomes == [[Delivered()]] * 4
    assert len(rows(end)) == 4


@on_each
async def test_a_table_with_other_columns_is_named_with_what_it_lacks(end: SqlEnd) -> None:
    end.do("CREATE TABLE inputs (input_id VARCHAR(64) PRIMARY KEY)")
    destination = table_of(end)
    (outcome,) = await destination.deliver([parcel("a")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "table_unfit"
    assert "collector" in outcome.detail
    end.do("DROP TABLE inputs")
    end.make_table()
    assert await destination.deliver([parcel("a")]) == [Delivered()]


@on_two
async def test_a_table_may_have_more_columns_and_a_name_of_its_own(end: SqlEnd) -> None:
    with end.engine.connect() as connection:
        table_named("mine").create(connection)
    end.do("ALTER TABLE mine ADD COLUMN label VARCHAR(20) DEFAULT 'none'")
    assert await table_of(end, table="mine", create=False).deliver([parcel("a")]) == [Delivered()]
    assert len(rows(end, "mine")) == 1


@on_postgresql
async def test_a_table_may_stand_in_another_schema(end: PostgresEnd) -> None:
    assert await table_of(end, table=f"{end.name}.other").deliver([parcel("a")]) == [Delivered()]
    assert len(rows(end, f"{end.name}.other")) == 1


@on_two
async def test_no_table_is_made_unasked(end: SqlEnd) -> None:
    (outcome,) = await table_of(end, create=False).deliver([parcel("a")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "table_unfit"
    assert "inputs" in outcome.detail


@on_sqlite
async def test_where_no_statement_passes_over_what_is_there_it_is_looked_up(
    end: SqlEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_ATOMIC", ())
    monkeypatch.setattr(sql, "insertion", lambda _dialect, table: sqlalchemy.insert(table))
    destination = table_of(end)
    await destination.deliver([parcel("a")])
    assert await destination.deliver([parcel("a"), parcel("b"), parcel("b")]) == [Delivered()] * 3
    assert await destination.deliver([parcel("a"), parcel("b")]) == [Delivered()] * 2
    assert len(rows(end)) == 2


def problems(**options: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        check_options(Destination("sql", options))
    assert "s3cret" not in str(caught.value)
    return {problem.field.removeprefix("destination.sql."): problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:s3cret@host/db", "password"),
        ("postgresql://host/db?password=s3cret", "password"),
        ("mysql://host/db?ssl_key_password=s3cret", "password"),
        ("s3cret", "is no address"),
        ("nosuch://host/db", "SQLAlchemy"),
        ("sqlite://", "names no file"),
    ],
)
def test_an_address_that_cannot_be_taken_is_refused(url: str, why: str) -> None:
    assert why in problems(url=url)["url"]


def test_every_fault_of_the_options_is_named() -> None:
    found = problems(url="sqlite:///x.db", table="a; DROP TABLE b", password="s3cret", timeout_seconds=61, create=1)
    assert set(found) == {"table", "password", "timeout_seconds", "create"}


@pytest.mark.parametrize(("module", "url"), [("psycopg", "postgresql://h/d"), ("pymysql", "mariadb://h/d")])
def test_without_the_driver_it_is_said_which_extra_brings_it(
    module: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_options(Destination("sql", {"url": url}))
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'collector-sidecar[" in problems(url=url)["url"]
