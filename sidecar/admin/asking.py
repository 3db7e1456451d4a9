"""Reading a request: its JSON, and whose app it is about. Raises Refusal naming the field.

JSON is accepted whatever the Content-Type says (the vendor's own browser sample sends none), each name in camelCase or
snake_case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake

from sidecar.admin.envelope import Code, Refusal
from sidecar.admin.queries import OfApp, query_of
from sidecar.collector import DEFAULT_APP, DEFAULT_USER
from sidecar.data import Json
from sidecar.kit.ids import require_id
from sidecar.kit.validation import faults_of

POLICY_BYTES = 1024 * 1024


class Owner(NamedTuple):
    user_id: str
    app_id: str


async def read_json(request: web.Request, shape: type[BaseModel], limit_bytes: int = POLICY_BYTES) -> Json:
    """The body's object by snake_case names, `{}` without a body. Raises Refusal on any field that `shape` lacks."""
    try:
        body = await _read_body(request, limit_bytes)
    except web.RequestPayloadError as error:
        request.content.feed_eof()  # else the server reads on to the end, runs into the same error and logs its stack
        raise Refusal(Code.BAD_REQUEST_FORMAT, "the body is not what its head says: coding or framing") from error
    if not body:
        return {}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal(
            Code.BAD_REQUEST_FORMAT, f"the body is not JSON: {error.msg.partition(':')[0]}, {where}"
        ) from None
    if not isinstance(content, dict):
        raise Refusal(Code.BAD_REQUEST_FORMAT, f"the body must be a JSON object, not {type(content).__name__}")
    named = {to_snake(name): value for name, value in content.items()}
    for name in named:
        if name not in shape.model_fields:
            fields = ", ".join(field for field in shape.model_fields if field != "user_app_id")
            raise invalid(name, f"no such field: there are {fields}")
    try:
        shape.model_validate(named)
    except ValidationError as error:
        for details, fault in zip(error.errors(include_url=False), faults_of(error, shape, ""), strict=True):
            if details["type"] != "missing":  # whoever reads the field says what it is for
                raise invalid(fault.field.removeprefix("."), fault.message) from None
    return named


async def _read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Raises Refusal as soon as it is clear that the body is larger than `limit_bytes`."""
    chunks: list[bytes] = []
    size = request.content_length or 0
    if size <= limit_bytes:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > limit_bytes:
                break
            chunks.append(chunk)
    if size > limit_bytes:
        raise Refusal(Code.TOO_LARGE, f"the body is larger than the limit of {limit_bytes} bytes")
    return b"".join(chunks)


def invalid(field: str, message: str, code: Code = Code.INVALID_REQUEST) -> Refusal:
    return Refusal(code, f"{field}: {message}", {field: message})


def objects(body: Json, field: str) -> list[Any]:
    """The list in `field`, which must hold something."""
    items = body.get(field)
    if not isinstance(items, list) or not items:
        raise invalid(field, "must be a list with at least one element")
    return items


def ids_in(body: Json, message: str = "must be a list of at least one id") -> list[str]:
    """The list in `ids`, which must hold some."""
    ids = body.get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(each, str) for each in ids):
        raise invalid("ids", message)
    return ids


def ids_or_all(body: Json) -> list[str] | None:
    """The ids to delete; None for all."""
    delete_all = body.get("delete_all")
    if delete_all is not None and not isinstance(delete_all, bool):
        raise invalid("delete_all", "must be true or false")
    if delete_all and body.get("ids"):
        raise invalid("delete_all", "must not stand beside ids: nothing was deleted")
    if delete_all:
        return None
    return ids_in(body, "must be a list of at least one id, or write delete_all: true")


def owner_of(request: web.Request, body: Json | None = None) -> Owner:
    """Whose app: by the path, else by `user_app_id` in the body, else in the query, else the embedded one.

    The two must not contradict each other. `me` is the token's user.
    """
    asked, path = query_of(OfApp), request.match_info
    users = (path.get("user_id", ""), asked.user_id, _in_body(body, "user_id"))
    apps = (path.get("app_id", ""), asked.app_id, _in_body(body, "app_id"))
    return Owner(
        _one_of("user_id", [DEFAULT_USER if each == "me" else each for each in users], DEFAULT_USER),
        _one_of("app_id", apps, DEFAULT_APP),
    )


def _one_of(name: str, given: Sequence[str], default: str) -> str:
    field = f"user_app_id.{name}"
    names = {each for each in given if each} or {default}
    if len(names) > 1:
        raise invalid(field, "is not the one in the path")
    (only,) = names
    try:
        require_id(only)
    except ValueError as error:
        raise invalid(field, str(error)) from None
    return only


def _in_body(body: Json | None, name: str) -> str:
    user_app_id = (body or {}).get("user_app_id") or {}
    if not isinstance(user_app_id, dict):
        raise invalid("user_app_id", "must be an object")
    value = {to_snake(key): each for key, each in user_app_id.items()}.get(name) or ""
    if not isinstance(value, str):
        raise invalid(f"user_app_id.{name}", "must be text")
    return value
