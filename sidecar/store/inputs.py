"""The embedded app's inputs: one row each, media content apart from the rest.

Owns the shape of a row of `INPUT`: `data` is the JSON of `data.to_wire`, in which the first image, video or audio with
content has an empty `base64` to mark where `content` belongs. Functions on a connection; whoever calls them owns the
transaction. Paging is the contract's: newest first, `page` from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, select

from sidecar.data import Data, Media, from_wire, media_type_of, to_wire
from sidecar.kit.json import dumps
from sidecar.store import input_search
from sidecar.store.input_search import ANY, Indexed, Place, Wanted
from sidecar.store.insert import insert_new
from sidecar.store.tables import INPUT

_MEDIA = ("image", "video", "audio")
DEFAULT_PER_PAGE = 128
MAX_PER_PAGE = 1000


class StoredInput(NamedTuple):
    """An input of an embedded app. `collector`, `caller`, `model`, `version` are blank when no collector posted it."""

    user_id: str
    app_id: str
    id: str
    data: Data
    created_at: float
    dataset_ids: tuple[str, ...] = ()
    collector: str = ""
    caller: str = ""
    model: str = ""
    version: str = ""
    media_type: str = ""
    content_bytes: int = 0
    """Size of the media content; a listing leaves the content itself out of `data`."""
    wire: bytes = b""
    """The JSON of `data.to_wire(data)` where who stores has it at hand; never given back."""
    story: str = ""
    """How it came here, as JSON, where a collector posted it; given back by `get_input` alone."""


class Content(NamedTuple):
    """Media content as it is served."""

    body: bytes
    media_type: str


def insert_inputs(connection: Connection, inputs: Sequence[StoredInput]) -> list[bool]:
    """Insert `inputs`, in order: True for each that is new, False where its app has that id already."""
    are_new = insert_new(connection, INPUT, [_to_row(stored) for stored in inputs])
    input_search.index(connection, [_indexed(stored) for stored, is_new in zip(inputs, are_new, strict=True) if is_new])
    return are_new


def repeat_a_url(connection: Connection, inputs: Sequence[StoredInput]) -> list[bool]:
    """True for each whose media address another input of its app has, there or earlier in `inputs`, and must not.

    An id that is there already is no such case: whoever inserts is told so by its id.
    """
    first: dict[tuple[str, str, str], str] = {}
    repeated = []
    for stored in inputs:
        media = _addressed(stored.data)
        place = (stored.user_id, stored.app_id, media.url if media else "")
        is_repeated = (
            media is not None
            and not media.allow_duplicate_url
            and (first.get(place, stored.id) != stored.id or _has_same(connection, stored, "url", media.url))
            and not _has_same(connection, stored, "id", stored.id)
        )
        repeated.append(is_repeated)
        if media and not is_repeated:
            first.setdefault(place, stored.id)
    return repeated


def _has_same(connection: Connection, stored: StoredInput, column: str, value: str) -> bool:
    """True if an input of the same app has `value` in `column`."""
    where = (INPUT.c.user_id == stored.user_id, INPUT.c.app_id == stored.app_id, INPUT.c[column] == value)
    return connection.execute(select(INPUT.c.id).where(*where).limit(1)).first() is not None


def get_input(connection: Connection, user_id: str, app_id: str, input_id: str) -> StoredInput | None:
    """The whole input, its media content in `data`; None when it is not there."""
    row = connection.execute(select(INPUT).where(*_named(user_id, app_id, input_id))).mappings().one_or_none()
    return None if row is None else _from_row(row, row["content"])


def list_inputs(
    connection: Connection,
    user_id: str,
    app_id: str,
    *,
    page: int = 1,
    per_page: int = DEFAULT_PER_PAGE,
    wanted: Wanted = ANY,
    before: Place | None = None,
) -> list[StoredInput]:
    """A page of an app's inputs, newest first, without media content; `wanted` narrows it.

    It begins after `before`, or is the one with the number `page`, which counts from 1. `per_page` is at most 1000;
    what is outside is brought inside.
    """
    size = min(max(per_page, 1), MAX_PER_PAGE)
    ids = input_search.find(connection, (user_id, app_id), wanted, size, before, (max(page, 1) - 1) * size)
    columns = [column for column in INPUT.c if column.name not in ("content", "story")]
    statement = select(*columns, func.coalesce(func.length(INPUT.c.content), 0).label("content_bytes")).where(
        INPUT.c.user_id == user_id, INPUT.c.app_id == app_id, INPUT.c.id.in_(ids)
    )
    found = {row["id"]: _from_row(row, None) for row in connection.execute(statement).mappings()}
    return [found[name] for name in ids]


def read_content(connection: Connection, user_id: str, app_id: str, input_id: str) -> Content | None:
    """The media content of an input; None when there is no such input, or it has none."""
    columns = (INPUT.c.content, INPUT.c.media_type)
    row = connection.execute(select(*columns).where(*_named(user_id, app_id, input_id))).one_or_none()
    if row is None or row.content is None:
        return None
    return Content(row.content, row.media_type or "application/octet-stream")


def delete_inputs(connection: Connection, user_id: str, app_id: str, ids: Iterable[str]) -> int:
    """Delete inputs by id; gives how many there were."""
    ids = list(ids)
    input_search.forget(connection, user_id, app_id, ids)
    where = (INPUT.c.user_id == user_id, INPUT.c.app_id == app_id, INPUT.c.id.in_(ids))
    return connection.execute(delete(INPUT).where(*where)).rowcount


def _named(user_id: str, app_id: str, input_id: str) -> tuple[Any, ...]:
    return (INPUT.c.user_id == user_id, INPUT.c.app_id == app_id, INPUT.c.id == input_id)


def _indexed(stored: StoredInput) -> Indexed:
    return Indexed(*(getattr(stored, name) for name in Indexed._fields))


def _to_row(stored: StoredInput) -> dict[str, Any]:
    row = stored._asdict()
    del row["content_bytes"], row["wire"]
    addressed = _addressed(stored.data)
    row["url"] = addressed.url if addressed else ""
    row["dataset_ids"] = orjson.dumps(stored.dataset_ids).decode()
    field = _field_with_content(stored.data)
    if field:
        return row | _apart(stored.data, field)
    return row | {"data": stored.wire or dumps(to_wire(stored.data)), "content": None, "media_type": ""}


def _apart(data: Data, field: str) -> dict[str, Any]:
    """The columns of an input whose medium in `field` has content."""
    media: Media = getattr(data, field)
    wire = to_wire(_with_media(data, field, replace(media, content=b"")))
    wire[field]["base64"] = ""
    media_type = media.media_type or media_type_of(media.content)
    return {"data": dumps(wire), "content": media.content, "media_type": media_type}


def _addressed(data: Data) -> Media | None:
    """The first medium that has an address."""
    return next((media for media in (data.image, data.video, data.audio) if media and media.url), None)


def _field_with_content(data: Data) -> str:
    return next((name for name in _MEDIA if (media := getattr(data, name)) and media.content), "")


def _with_media(data: Data, field: str, media: Media) -> Data:
    changes: dict[str, Any] = {field: media}
    return replace(data, **changes)


def _from_row(row: RowMapping, content: bytes | None) -> StoredInput:
    wire = orjson.loads(row["data"])
    data = from_wire(wire)
    for name in _MEDIA:
        if wire.get(name, {}).get("base64") == "":
            media: Media = getattr(data, name)
            data = _with_media(data, name, replace(media, content=content or b"", media_type=row["media_type"]))
    fields = {name: row[name] for name in StoredInput._fields if name in row}
    size = len(content) if content is not None else fields.get("content_bytes", 0)
    fields |= {"data": data, "dataset_ids": tuple(orjson.loads(row["dataset_ids"])), "content_bytes": size}
    return StoredInput(**fields)
