"""Inputs are found by whatever is known of them, agreeing with a plain look through all, and quickly among many."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from support.many_inputs import APP, WISHES, made, text_of

from sidecar.data import Concept, Data, Region, Tensor
from sidecar.store.database import Database, sqlite_url
from sidecar.store.input_search import MOST_CONCEPTS, Place, Wanted
from sidecar.store.inputs import StoredInput, delete_inputs, insert_inputs, list_inputs


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path)) as opened:
        yield opened


async def put(database: Database, inputs: list[StoredInput]) -> None:
    await database.write(lambda connection: insert_inputs(connection, inputs))


async def pages(database: Database, wanted: Wanted, size: int) -> list[str]:
    """Page after page, each beginning where the last ended."""
    names: list[str] = []
    before: Place | None = None
    while True:
        place = before

        def look(connection: Connection, place: Place | None = place) -> list[StoredInput]:
            return list_inputs(connection, *APP, per_page=size, wanted=wanted, before=place)

        found = await database.read(look)
        names += [each.id for each in found]
        if len(found) < size:
            return names
        before = Place(found[-1].created_at, found[-1].id)


async def test_each_search_finds_what_a_look_through_all_finds(database: Database) -> None:
    inputs = made(400)
    await put(database, inputs)
    newest_first = sorted(inputs, key=lambda each: (each.created_at, each.id), reverse=True)
    for name, (wanted, is_wanted) in WISHES.items():
        expected = [each.id for each in newest_first if is_wanted(each)]
        assert await pages(database, wanted, 37) == expected, name
    assert not await database.read(lambda connection: list_inputs(connection, "me", "other"))


async def test_many_texts_are_found_in_the_same_order_as_few(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, made(200))
    wanted = Wanted(text="refund", caller="ann")
    few = await pages(database, wanted, 10)
    monkeypatch.setattr("sidecar.store.input_search._FEW", 5)
    assert few
    assert await pages(database, wanted, 10) == few


async def test_what_was_deleted_is_found_no_more_and_can_come_again(database: Database) -> None:
    one = made(1)[0]
    word = text_of(one).split()[0]
    concept = one.data.concepts[0].id
    await put(database, [one])
    await database.write(lambda connection: delete_inputs(connection, *APP, [one.id, "other"]))
    for wanted in (Wanted(text=word), Wanted(concept=concept)):
        assert await pages(database, wanted, 5) == []
    await put(database, [one, one])
    for wanted in (Wanted(text=word), Wanted(concept=concept)):
        assert await pages(database, wanted, 5) == [one.id]


async def test_what_is_found_of_one_input_is_bounded(database: Database) -> None:
    concepts = tuple(Concept(f"k{number}", number / 1000) for number in range(1000))
    regions = (Region(concepts=(Concept("in-region", 0.99), Concept("k999", 0.1))),)
    tensors = (Tensor(["free", ["text"]], "prompt"), Tensor([[1.0]], "numbers"))
    await put(database, [StoredInput(*APP, "big", Data(concepts=concepts, regions=regions, tensors=tensors), 1.0)])
    kept = await database.read(lambda c: c.exec_driver_sql("select count(*) from input_concept").scalar_one())
    assert kept == MOST_CONCEPTS
    for wanted in (Wanted(concept="k999", least=0.999), Wanted(concept="in-region"), Wanted(text="free text")):
        assert await pages(database, wanted, 5) == ["big"]
    assert await pages(database, Wanted(concept="k1"), 5) == []


async def test_a_database_from_before_gets_its_index(tmp_path: Path) -> None:
    async with Database(sqlite_url(tmp_path)) as database:
        await database.write(lambda connection: connection.exec_driver_sql("DROP INDEX input_listed"))
    async with Database(sqlite_url(tmp_path)) as database:
        await put(database, made(3))
        assert len(await pages(database, Wanted(text="refund late*"), 2)) <= 3
        assert await database.read(
            lambda c: c.exec_driver_sql("select 1 from sqlite_master where name = 'input_listed'").first()
        )


async def steps_of(database: Database, wanted: Wanted) -> int:
    """Steps of SQLite's machine for one page, in hundreds: what it costs, however busy the computer is."""
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    def look(connection: Connection) -> list[StoredInput]:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_progress_handler(count, 100)
        try:
            return list_inputs(connection, *APP, per_page=20, wanted=wanted)
        finally:
            driver.set_progress_handler(None, 0)

    await database.read(look)
    return hundreds


async def test_a_page_of_many_costs_what_a_page_of_few_does(database: Database) -> None:
    """Words are looked up in rows of their own, few steps each. See tests/bench/input_pages.py for times."""
    count = 5_000
    await put(database, made(count // 5))
    few = {name: await steps_of(database, wanted) for name, (wanted, _) in WISHES.items()}
    await put(database, made(count)[count // 5 :])
    for name, (wanted, _) in WISHES.items():
        most = 20 * count // 100 if wanted.text else 2 * few[name] + 5
        assert await steps_of(database, wanted) <= most, name
