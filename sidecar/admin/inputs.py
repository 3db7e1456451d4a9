"""The embedded app's inputs: posting them, as a destination does, and reading what was kept.

Speaks the contract's POST inputs, so that another sidecar can deliver here. What was captured is anybody's text and
bytes: content is served so that no browser runs it.
"""

from __future__ import annotations

import secrets
from typing import Any

import orjson
from aiohttp import web
from pydantic.alias_generators import to_snake
from sqlalchemy import Connection

from sidecar.admin import bodies, queries
from sidecar.admin.asking import Owner, ids_in, invalid, objects, owner_of, read_json
from sidecar.admin.envelope import Code, answer, status_of
from sidecar.admin.input_query import wanted_by, write_place
from sidecar.admin.npy import npy_of
from sidecar.admin.parts import PARTS
from sidecar.admin.queries import query_of
from sidecar.data import Data, Json, from_wire, to_wire
from sidecar.errors import ConfigurationError, NotFoundError, Problem
from sidecar.kit.clock import rfc3339
from sidecar.kit.ids import ID
from sidecar.store import inputs as store
from sidecar.store.audit import Change, who_acts, write_changes
from sidecar.store.inputs import StoredInput

REQUEST_BYTES = 128 * 1024 * 1024
IMAGE_BYTES = 20 * 1024 * 1024
_MAX_ID_LENGTH = 128
_RESOLUTIONS = (None, "", 0, 1, "INPUT_ID_CONFLICT_RESOLUTION_NOT_SET", "SKIP")
_INPUT_FIELDS = tuple(bodies.InputShape.model_fields)
_DUPLICATE_ID = "Input has a duplicate ID."
_DUPLICATE_URL = "Input has a duplicate URL; allow_duplicate_url keeps it all the same."
_ANNOTATIONS = ("model_output", "workflow_output")
_SHOWN_IN_PLACE = ("image/", "audio/", "video/")
_CONTENT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=3600",
}


async def post(request: web.Request) -> web.Response:
    """Keep inputs, each judged by itself."""
    body = await read_json(request, bodies.PostInputs, REQUEST_BYTES)
    given, owner = objects(body, "inputs"), owner_of(request, body)
    if len(given) > bodies.MAX_INPUTS:
        raise invalid("inputs", f"at most {bodies.MAX_INPUTS} in one request, not {len(given)}")
    if body.get("input_id_conflict_resolution") not in _RESOLUTIONS:
        raise invalid("input_id_conflict_resolution", "must be SKIP, or missing")
    parts = request.app[PARTS]
    now = parts.clock.now()
    read = [_read(wire, owner, now, f"inputs[{index}]") for index, wire in enumerate(given)]
    good = [each for each in read if isinstance(each, StoredInput)]
    try:
        duplicates = iter(await parts.database.write(lambda connection: _keep(connection, good)))
    except orjson.JSONEncodeError as error:
        raise invalid("inputs", f"one cannot be kept, so none is: {error}") from error
    answers = [_told(each, next(duplicates)) if isinstance(each, StoredInput) else each for each in read]
    return _answer(answers)


async def delete(request: web.Request) -> web.Response:
    """Delete inputs for good, one by the path or several by the body; ids that are not there are passed over, as a
    repeat must not fail."""
    body = await read_json(request, bodies.DeleteIds)
    name = request.match_info.get("id")
    ids, owner = ids_in(body) if name is None else [name], owner_of(request, body)
    parts, who = request.app[PARTS], who_acts()
    change = Change("inputs.deleted", "/".join(owner), before=ids)

    def work(connection: Connection) -> None:
        store.delete_inputs(connection, *owner, ids)
        write_changes(connection, who, parts.clock.now(), [change])

    await parts.database.write(work)
    parts.events.changed(who, change.kind, change.subject)
    return answer()


def _read(wire: object, owner: Owner, now: float, where: str) -> StoredInput | Json:
    """The input in `wire`, or its entry in the answer when it cannot be taken."""
    fields = {to_snake(str(name)): value for name, value in wire.items()} if isinstance(wire, dict) else {}
    name = fields.get("id") or secrets.token_hex(16)
    if not isinstance(wire, dict):
        return {"id": name, "status": status_of(Code.INPUT_INVALID_ARGUMENT, f"{where}: must be an object")}
    try:
        data = _data_of(fields, name, where)
    except ConfigurationError as error:
        shown = name if isinstance(name, str) else ""
        return {"id": shown, "status": status_of(Code.INPUT_INVALID_ARGUMENT, str(error))}
    return StoredInput(owner.user_id, owner.app_id, name, data, now, tuple(fields.get("dataset_ids") or ()))


def _data_of(fields: Json, name: object, where: str) -> Data:
    unknown = sorted(fields.keys() - set(_INPUT_FIELDS))
    if unknown:
        message = f"no such field: there are {', '.join(_INPUT_FIELDS)}"
        raise ConfigurationError(Problem(message, field=f"{where}.{unknown[0]}"))
    if not isinstance(name, str) or not ID.fullmatch(name) or len(name) > _MAX_ID_LENGTH:
        message = f"is not an id: letters, digits, single - or _, at most {_MAX_ID_LENGTH} characters"
        raise ConfigurationError(Problem(message, field=f"{where}.id"))
    datasets = fields.get("dataset_ids") or []
    if not isinstance(datasets, list) or not all(isinstance(each, str) for each in datasets):
        raise ConfigurationError(Problem("must be a list of ids", field=f"{where}.dataset_ids"))
    data = from_wire(fields.get("data") or {}, f"{where}.data")
    if data.is_empty:
        raise ConfigurationError(Problem("is empty: an input holds something", field=f"{where}.data"))
    if data.image and len(data.image.content) > IMAGE_BYTES:
        message = f"is larger than the limit of {IMAGE_BYTES} bytes"
        raise ConfigurationError(Problem(message, field=f"{where}.data.image"))
    return data


def _keep(connection: Connection, inputs: list[StoredInput]) -> list[str]:
    """Keep those that are new: for each why it is not, blank where it is."""
    repeated = store.repeat_a_url(connection, inputs)
    wanted = [each for each, is_repeated in zip(inputs, repeated, strict=True) if not is_repeated]
    new = iter(store.insert_inputs(connection, wanted))
    return [_DUPLICATE_URL if is_repeated else "" if next(new) else _DUPLICATE_ID for is_repeated in repeated]


def _told(stored: StoredInput, duplicate: str) -> Json:
    code = Code.INPUT_DUPLICATE if duplicate else Code.INPUT_PENDING
    return {"id": stored.id, "status": status_of(code, duplicate)}


def _answer(inputs: list[Json]) -> web.Response:
    taken = sum(each["status"]["code"] == Code.INPUT_PENDING.number for each in inputs)
    code = Code.SUCCESS if taken == len(inputs) else Code.MIXED_STATUS if taken else Code.FAILURE
    details = "" if taken else "; ".join(sorted({each["status"]["details"] for each in inputs}))
    return answer(code, details, inputs=inputs)


async def list_all(request: web.Request) -> web.Response:
    """A page of inputs, newest first, without media content; see `queries.Inputs` for what narrows it."""
    owner, asked = owner_of(request), query_of(queries.Inputs)
    page, size, wanted = asked.page, asked.per_page, wanted_by(asked)

    def work(connection: Connection) -> list[StoredInput]:
        return store.list_inputs(connection, *owner, page=page, per_page=size, wanted=wanted, before=asked.before)

    found = await request.app[PARTS].database.read(work)
    following = write_place(found[-1]) if len(found) == size else None
    return answer(inputs=[_show(each) for each in found], next_before=following)


async def get(request: web.Request) -> web.Response:
    return answer(input=_show(await found_in(request)))


async def list_annotations(request: web.Request) -> web.Response:
    """What models said of an input and was kept with it: each with its concepts and regions."""
    found = await found_in(request)
    kept = [(name, found.data.metadata.get(name)) for name in _ANNOTATIONS]
    shown = [
        {
            "id": name,
            "input_id": found.id,
            "user_id": found.user_id,
            "created_at": rfc3339(found.created_at),
            "status": status_of(Code.SUCCESS),
            "data": data,
        }
        for name, data in kept
        if isinstance(data, dict)
    ]
    return answer(annotations=shown)


async def content(request: web.Request) -> web.Response:
    """The bytes of an input's image, video or audio; of its tensor `tensor`, as NumPy's .npy; or of its raw body."""
    wanted = query_of(queries.Content).tensor
    if wanted:
        tensor = next((each for each in (await found_in(request)).data.tensors if each.name == wanted), None)
        served = None if tensor is None else npy_of(tensor)
        if served is None:
            raise NotFoundError(f"no tensor of numbers {wanted!r} in this input")
        return _served(served, "application/octet-stream")
    owner, name = owner_of(request), request.match_info["id"]
    found = await request.app[PARTS].database.read(lambda connection: store.read_content(connection, *owner, name))
    if found is None:
        raw = (await found_in(request)).data.raw
        if raw is None:
            raise NotFoundError(f"no input {name!r} with content in this app")
        return _served(raw.content, "application/octet-stream")
    return _served(found.body, found.media_type)


async def found_in(request: web.Request) -> StoredInput:
    """The input that the path names. Raises NotFoundError."""
    owner, name = owner_of(request), request.match_info["id"]
    found = await request.app[PARTS].database.read(lambda connection: store.get_input(connection, *owner, name))
    if found is None:
        raise NotFoundError(f"no input {name!r} in this app")
    return found


def _served(body: bytes, media_type: str) -> web.Response:
    headers = dict(_CONTENT_HEADERS)
    is_shown = media_type.startswith(_SHOWN_IN_PLACE) and "svg" not in media_type
    if not is_shown:
        headers["Content-Disposition"] = "attachment"
    return web.Response(
        body=body, content_type=media_type if is_shown else "application/octet-stream", headers=headers
    )  # fmt: skip


def _show(stored: StoredInput) -> Json:
    shown: dict[str, Any] = {
        "id": stored.id,
        "created_at": rfc3339(stored.created_at),
        "status": status_of(Code.INPUT_SUCCESS),
        "data": to_wire(stored.data),
        "dataset_ids": list(stored.dataset_ids),
        "collector": stored.collector,
        "caller": stored.caller,
        "model": stored.model,
        "version": stored.version,
    }
    if stored.content_bytes:
        path = f"/v1/users/{stored.user_id}/apps/{stored.app_id}/inputs/{stored.id}/content"
        shown |= {"media_type": stored.media_type, "content_bytes": stored.content_bytes, "content_url": path}
    return shown
