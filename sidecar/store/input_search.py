"""Finding an app's inputs: by who sent them, what they show, when, and the words in them; newest first.

Owns two tables beside `INPUT` that are written with it: the concepts of each input, and its words (SQLite's FTS5).
Every search runs on one covering index or on few rows, so that a page of 100,000 inputs takes milliseconds, whatever is
asked for. Bounded: of each input the `MOST_CONCEPTS` most probable concepts and `MOST_CHARACTERS` of text are found.
Functions on a connection; whoever calls them owns the transaction.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    select,
    text,
    tuple_,
)

from sidecar.data import Data
from sidecar.store.insert import insert_new
from sidecar.store.tables import INPUT, INPUT_CONCEPT

MOST_CONCEPTS = 32
MOST_CHARACTERS = 4096
_FEW = 2000
"""Up to that many texts are sorted; beyond it the newest inputs are looked through for them."""
_WORD = re.compile(r"\w+\*?")
_ROWID: ColumnElement[int] = literal_column("input.rowid")


class Wanted(NamedTuple):
    """What an input must have; blank or None asks for nothing."""

    collector: str = ""
    caller: str = ""
    model: str = ""
    version: str = ""
    concept: str = ""
    least: float | None = None
    """Of the concept's value, inclusive."""
    most: float | None = None
    since: float | None = None
    """Seconds since the epoch, inclusive."""
    until: float | None = None
    """Exclusive."""
    text: str = ""
    """Words that must all be there; one with a `*` at its end stands for all that begin like it."""


ANY = Wanted()


class Place(NamedTuple):
    """Where a page ends: the next one begins after it."""

    created_at: float
    id: str


class Indexed(NamedTuple):
    """An input as it is found."""

    user_id: str
    app_id: str
    id: str
    created_at: float
    collector: str
    caller: str
    model: str
    version: str
    data: Data


def prepare(connection: Connection) -> None:
    """Make what `create_all` does not: the table of words, and indexes that an older database lacks."""
    for index in INPUT.indexes:
        index.create(connection, checkfirst=True)
    with contextlib.suppress(sqlalchemy.exc.OperationalError):  # a SQLite without FTS5: texts are looked through
        connection.exec_driver_sql("CREATE VIRTUAL TABLE IF NOT EXISTS input_text USING fts5(body)")


def index(connection: Connection, inputs: Sequence[Indexed]) -> None:
    """Have new inputs found."""
    insert_new(connection, INPUT_CONCEPT, [row for each in inputs for row in _concept_rows(each)])
    words = [{**_named(each), "body": body} for each in inputs if (body := words_of(each.data))]
    if words and _has_words(connection):
        connection.execute(_ADD_WORDS, words)


def forget(connection: Connection, user_id: str, app_id: str, ids: Collection[str]) -> None:
    """Before inputs are deleted: have them found no more."""
    own = (INPUT.c.user_id == user_id, INPUT.c.app_id == app_id, INPUT.c.id.in_(ids))
    if _has_words(connection):
        rows = list(connection.execute(select(_ROWID).select_from(INPUT).where(*own)).scalars())
        connection.execute(_DROP_WORDS, [{"row": row} for row in rows] or [{"row": -1}])
    found = connection.execute(_CONCEPTS_OF, {"user": user_id, "app": app_id, "ids": list(ids)}).all()
    if found:
        named = {"user": user_id, "app": app_id}
        connection.execute(_DROP_CONCEPT, [named | dict(zip(_KEY, row, strict=True)) for row in found])


def find(
    connection: Connection, app: tuple[str, str], wanted: Wanted, size: int, before: Place | None = None, skip: int = 0
) -> list[str]:
    """The ids of a page, newest first; it begins after `before`, or after `skip` inputs."""
    if wanted.text:
        statement = _by_text(connection, app, wanted, before)
    elif wanted.concept:
        statement = select(INPUT_CONCEPT.c.id).where(*_of_concept(wanted), *_of_row(INPUT_CONCEPT, app, wanted, before))
        statement = _newest_first(statement, INPUT_CONCEPT)
    else:
        statement = _newest_first(select(INPUT.c.id).where(*_of_row(INPUT, app, wanted, before)), INPUT)
    return [] if statement is None else list(connection.execute(statement.limit(size).offset(skip)).scalars())


def words_of(data: Data) -> str:
    """What of an input is searched for words: its text, and the texts among its tensors."""
    parts = [data.text.raw] if data.text and data.text.raw else []
    parts += [piece for tensor in data.tensors for piece in _texts_in(tensor.value)]
    return "\n".join(parts)[:MOST_CHARACTERS].replace("\0", " ")


def _texts_in(value: object, depth: int = 8) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple) and depth and value and isinstance(value[0], str | list | tuple | dict):
        for each in value:
            yield from _texts_in(each, depth - 1)
    elif isinstance(value, dict) and depth:
        for each in value.values():
            yield from _texts_in(each, depth - 1)


def _concept_rows(found: Indexed) -> list[dict[str, Any]]:
    values: dict[str, float] = {}
    data = found.data
    for concept in (*data.concepts, *(each for region in data.regions for each in region.concepts)):
        values[concept.id] = max(concept.value, values.get(concept.id, concept.value))
    row = found._asdict()
    del row["data"]
    most = sorted(values.items(), key=lambda each: -each[1])[:MOST_CONCEPTS]
    return [{**row, "concept": name, "value": value} for name, value in most]


def _by_text(connection: Connection, app: tuple[str, str], wanted: Wanted, before: Place | None) -> Any:  # noqa: ANN401 - sqlalchemy's own statement type
    """None where nothing can be found."""
    words = [f'"{word.rstrip("*")}"{"*" if word.endswith("*") else ""}' for word in _WORD.findall(wanted.text)]
    if not words:
        return None
    where = _of_row(INPUT, app, wanted, before)
    if wanted.concept:
        own = INPUT_CONCEPT.c
        same = and_(own.user_id == INPUT.c.user_id, own.app_id == INPUT.c.app_id, own.id == INPUT.c.id)
        same = and_(same, own.created_at == INPUT.c.created_at)
        of_concept = (own.user_id == app[0], own.app_id == app[1], *_of_concept(wanted))
        if _is_few(connection, select(own.id).where(*of_concept)):
            where.append(INPUT.c.id.in_(select(own.id).where(*of_concept)))
        else:
            where.append(exists().where(same, *of_concept))
    if not _has_words(connection):
        written = func.lower(sqlalchemy.cast(INPUT.c.data, sqlalchemy.Text))
        where += [written.contains(word.strip('"*').lower(), autoescape=True) for word in words]
        return _newest_first(select(INPUT.c.id).where(*where), INPUT)
    matching = _MATCHING.bindparams(words=" ".join(words)).columns(sqlalchemy.column("rowid"))
    hint = "NOT INDEXED" if _is_few(connection, select(matching.subquery())) else "INDEXED BY input_listed"
    statement = select(INPUT.c.id).where(*where, _ROWID.in_(matching))
    return _newest_first(statement.with_hint(INPUT, hint, "sqlite"), INPUT)


def _is_few(connection: Connection, statement: Any) -> bool:  # noqa: ANN401 - sqlalchemy's own statement type
    some = statement.limit(_FEW).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() < _FEW


def _of_row(
    table: Table, app: tuple[str, str], wanted: Wanted, before: Place | None
) -> list[ColumnElement[bool]]:  # fmt: skip
    """What both tables have columns for."""
    where: list[ColumnElement[bool]] = [table.c.user_id == app[0], table.c.app_id == app[1]]
    where += [
        table.c[name] == getattr(wanted, name)
        for name in ("collector", "caller", "model", "version")
        if getattr(wanted, name)
    ]
    if wanted.since is not None:
        where.append(table.c.created_at >= wanted.since)
    if wanted.until is not None:
        where.append(table.c.created_at < wanted.until)
    if before is not None:
        where.append(tuple_(table.c.created_at, table.c.id) < tuple_(before.created_at, before.id))
    return where


def _of_concept(wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [INPUT_CONCEPT.c.concept == wanted.concept]
    if wanted.least is not None:
        where.append(INPUT_CONCEPT.c.value >= wanted.least)
    if wanted.most is not None:
        where.append(INPUT_CONCEPT.c.value <= wanted.most)
    return where


def _newest_first(statement: Any, table: Table) -> Any:  # noqa: ANN401 - sqlalchemy's own statement type
    return statement.order_by(table.c.created_at.desc(), table.c.id.desc())


def _named(found: Indexed) -> dict[str, str]:
    return {"user": found.user_id, "app": found.app_id, "input": found.id}


def _has_words(connection: Connection) -> bool:
    named = "SELECT 1 FROM sqlite_master WHERE name = 'input_text'"
    return connection.exec_driver_sql(named).first() is not None


_MATCHING = text("SELECT rowid FROM input_text WHERE body MATCH :words")
_ADD_WORDS = text(
    "INSERT INTO input_text (rowid, body) SELECT rowid, :body FROM input"
    " WHERE user_id = :user AND app_id = :app AND id = :input"
)
_CONCEPTS_OF = text(
    "WITH RECURSIVE app(concept) AS ("
    " SELECT min(concept) FROM input_concept WHERE user_id = :user AND app_id = :app"
    " UNION ALL SELECT (SELECT min(concept) FROM input_concept"
    "  WHERE user_id = :user AND app_id = :app AND concept > app.concept) FROM app WHERE concept IS NOT NULL)"
    " SELECT found.concept, found.created_at, found.id"
    " FROM input INDEXED BY sqlite_autoindex_input_1 CROSS JOIN app CROSS JOIN input_concept AS found"
    " WHERE input.user_id = :user AND input.app_id = :app AND input.id IN :ids"
    " AND found.user_id = :user AND found.app_id = :app AND found.concept = app.concept"
    " AND found.created_at = input.created_at AND found.id = input.id"
).bindparams(bindparam("ids", expanding=True))
"""Leaps from one concept of the app to the next in the key: an index that leads from an input to its concepts would
cost each input that is kept a third more. Which index of `input` is used must be said: SQLite takes a wider one."""
_KEY = ("concept", "at", "id")
_DROP_CONCEPT = text(
    "DELETE FROM input_concept"
    " WHERE user_id = :user AND app_id = :app AND concept = :concept AND created_at = :at AND id = :id"
)
_DROP_WORDS = text("DELETE FROM input_text WHERE rowid = :row")
