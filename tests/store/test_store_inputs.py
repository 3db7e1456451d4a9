"""The embedded app's inputs: whole round trips, paging, content."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from sidecar.data import (
    Concept,
    Data,
    Embedding,
    GeoPoint,
    Media,
    Raw,
    Region,
    Tensor,
    Text,
)
from sidecar.store.database import Database, sqlite_url
from sidecar.store.input_search import Wanted
from sidecar.store.inputs import (
    Content,
    StoredInput,
    delete_inputs,
    get_input,
    insert_inputs,
    list_inputs,
    read_content,
)
from sidecar.store.tables import INPUT

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path)) as database:
        yield database


def stored(input_id: str, data: Data | None = None, created_at: float = 1.0, **fields: Any) -> StoredInput:
    return StoredInput("me", "app", input_id, data or Data(text=Text("t")), created_at)._replace(**fields)


DATAS = {
    "image": Data(image=Media(content=PNG, media_type="image/png"), concepts=(Concept("a", 0.0, "A"),)),
    "unknown media type": Data(audio=Media(content=b"\x01\x02", media_type="audio/aac", url="http://x")),
    "image and video": Data(
        image=Media(content=PNG, media_type="image/png"), video=Media(content=b"....ftyp", media_type="video/mp4")
    ),
    "url only": Data(image=Media(url="http://x/cat.png", allow_duplicate_url=True)),
    "url, then content": Data(image=Media(url="http://x"), audio=Media(content=b"fLaC", media_type="audio/flac")),
    "the rest": Data(
        text=Text("t", "http://x"),
        regions=(Region("r", (0.0, 0.1, 0.2, 0.3), (Concept("a", 0.5, "a"),)),),
        embeddings=(Embedding((0.5, 1.0)),),
        geo=GeoPoint(1.0, 2.0),
        tensors=(Tensor([[1, 2.5], [None, "x"]], "n", "FP32", (2, 2)), Tensor(b"\xff")),
        raw=Raw(b"\x00", "application/x"),
        metadata={"k": [1, {"deep": None}]},
    ),
}


@pytest.mark.parametrize("data", DATAS.values(), ids=DATAS.keys())
async def test_an_input_comes_back_as_it_was(database: Database, data: Data) -> None:
    given = stored("one", data, dataset_ids=("d", "e"), collector="w", caller="alice", model="m", version="1")
    assert await database.write(lambda c: put(c, [given])) == set()
    found = await database.read(lambda c: get_input(c, "me", "app", "one"))
    assert found is not None
    assert found.data == data
    assert found._replace(media_type="", content_bytes=0) == given


def put(connection: Connection, inputs: Sequence[StoredInput]) -> set[str]:
    """Insert them; gives the ids that were there already."""
    are_new = insert_inputs(connection, inputs)
    return {each.id for each, is_new in zip(inputs, are_new, strict=True) if not is_new}


async def test_media_content_stands_apart_from_the_json(database: Database) -> None:
    await database.write(lambda c: put(c, [stored("one", DATAS["image"]), stored("two")]))
    row = await database.read(lambda c: c.execute(select(INPUT).where(INPUT.c.id == "one")).one())
    assert row.content == PNG
    assert len(row.data) < 100
    assert await database.read(lambda c: read_content(c, "me", "app", "one")) == Content(PNG, "image/png")
    assert await database.read(lambda c: read_content(c, "me", "app", "two")) is None
    assert await database.read(lambda c: read_content(c, "me", "app", "none")) is None


async def test_json_at_hand_is_not_written_again(database: Database) -> None:
    given = stored("one", wire=b'{ "text": {"raw": "t"} }')
    picture = stored("two", DATAS["image"], wire=b"never stored: the content stands apart")
    await database.write(lambda c: put(c, [given, picture]))
    found = dict(await database.read(lambda c: [tuple(row) for row in c.execute(select(INPUT.c.id, INPUT.c.data))]))
    assert found["one"] == given.wire
    assert b"never stored" not in found["two"]
    assert await database.read(lambda c: get_input(c, "me", "app", "one")) == given._replace(wire=b"")


async def test_ids_that_were_there_are_told_and_left_alone(database: Database) -> None:
    await database.write(lambda c: put(c, [stored("a"), stored("b")]))
    again = [stored("b", Data(text=Text("other"))), stored("c"), stored("c")]
    assert await database.write(lambda c: put(c, again)) == {"b", "c"}
    elsewhere = stored("b")._replace(app_id="other")
    assert await database.write(lambda c: put(c, [elsewhere])) == set()
    found = await database.read(lambda c: get_input(c, "me", "app", "b"))
    assert found is not None
    assert found.data == Data(text=Text("t"))


async def test_pages_newest_first_without_content(database: Database) -> None:
    listed = [stored(f"i{n}", DATAS["image"], float(n // 2), collector="w" if n % 2 else "") for n in range(5)]
    await database.write(lambda c: put(c, [*listed, stored("x")._replace(user_id="you")]))
    first = await database.read(lambda c: list_inputs(c, "me", "app", per_page=2))
    second = await database.read(lambda c: list_inputs(c, "me", "app", page=2, per_page=2))
    assert [each.id for each in first + second] == ["i4", "i3", "i2", "i1"]
    assert first[0].data.image == Media(media_type="image/png")
    assert (first[0].content_bytes, first[0].media_type) == (len(PNG), "image/png")
    assert await database.read(lambda c: list_inputs(c, "me", "app", page=9)) == []
    assert len(await database.read(lambda c: list_inputs(c, "me", "app", page=0, per_page=0))) == 1
    assert [
        each.id for each in await database.read(lambda c: list_inputs(c, "me", "app", wanted=Wanted(collector="w")))
    ] == [
        "i3",
        "i1",
    ]


async def test_deleted_is_gone(database: Database) -> None:
    await database.write(lambda c: put(c, [stored("a"), stored("b"), stored("c", collector="w")]))
    assert await database.write(lambda c: delete_inputs(c, "me", "app", ["a", "none"])) == 1
    assert await database.write(lambda c: delete_inputs(c, "you", "app", ["b"])) == 0
    assert await database.read(lambda c: len(list_inputs(c, "me", "app"))) == 2
    assert await database.read(lambda c: len(list_inputs(c, "me", "app", wanted=Wanted(collector="w")))) == 1
