"""A database of another version of ours is refused in one sentence that names it; nothing in it is changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.store.database import Database, sqlite_url
from sidecar.store.tables import SCHEMA


def database_of(folder: Path, *statements: str) -> Path:
    file = folder / "sidecar.db"
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return file


@pytest.mark.parametrize(
    ("version", "statements"),
    [
        (1, ["CREATE TABLE job (id INTEGER PRIMARY KEY)"]),
        (99, ["CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (99)"]),
    ],
)
async def test_another_version_is_refused_by_name(tmp_path: Path, version: int, statements: list[str]) -> None:
    file = database_of(tmp_path, *statements)
    database = Database(sqlite_url(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        await database.open()
    await database.close()
    (problem,) = caught.value.problems
    assert problem.file == str(file)
    assert f"schema {version}, this version has {SCHEMA}" in problem.message
    assert "--data" in problem.message
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() == (1,)
    connection.close()


async def test_ones_own_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with Database(sqlite_url(tmp_path)) as database:
            found = await database.read(lambda c: c.exec_driver_sql("SELECT version FROM schema_version").all())
            assert [row[0] for row in found] == [SCHEMA]
