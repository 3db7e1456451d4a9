"""Reading a request: its JSON, whose app it is about, which page it wants. Raises Refusal naming the field.

JSON is accepted whatever the Content-Type says (the vendor's own browser sample sends none), each name in camelCase or
snake_case.
"""

from __future__ import annotations

import datetime
import math
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake

from sidecar.admin.bodies import MAX_PER_PAGE
from sidecar.admin.envelope import Code, Refusal
from sidecar.collector import DEFAULT_APP, DEFAULT_USER
from sidecar.data import Json
from sidecar.kit.ids import ID
from sidecar.kit.validation import faults_of

POLICY_BYTES = 1024 * 1024
DEFAULT_PER_PAGE = 128


class Owner(NamedTuple):
    user_id: str
    app_id: str


class Page(NamedTuple):
    """`number` counts from 1."""

    number: int
    size: int

    @property
    def slice(self) -> slice:
        return slice((self.number - 1) * self.size, self.number * self.size)


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
    return Owner(
        _one_of(request, body, "user_id", DEFAULT_USER, me=DEFAULT_USER),
        _one_of(request, body, "app_id", DEFAULT_APP, me=""),
    )


def _one_of(request: web.Request, body: Json | None, name: str, default: str, me: str) -> str:
    field = f"user_app_id.{name}"
    given = [request.match_info.get(name, ""), request.query.get(field, ""), _in_body(body, name)]
    names = {me if me and each == "me" else each for each in given if each}
    if len(names) > 1:
        raise invalid(field, "is not the one in the path")
    name_given = names.pop() if names else default
    if not ID.fullmatch(name_given):
        raise invalid(field, "is not an id: letters and digits, single - or _ between them")
    return name_given


def _in_body(body: Json | None, name: str) -> str:
    user_app_id = (body or {}).get("user_app_id") or {}
    if not isinstance(user_app_id, dict):
        raise invalid("user_app_id", "must be an object")
    value = {to_snake(key): each for key, each in user_app_id.items()}.get(name) or ""
    if not isinstance(value, str):
        raise invalid(f"user_app_id.{name}", "must be text")
    return value


def number_of(request: web.Request, name: str) -> int | None:
    """The id that the query gives as `name`, None when it gives none."""
    text = request.query.get(name, "")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid(name, "must be an id: a whole number")
    return int(text) if text else None


def page_of(request: web.Request, default_size: int = DEFAULT_PER_PAGE) -> Page:
    """The page that the query asks for."""
    size = _positive(request, "per_page", default_size)
    if size > MAX_PER_PAGE:
        raise invalid("per_page", f"must be at most {MAX_PER_PAGE}")
    return Page(_positive(request, "page", 1), size)


def finite(name: str, given: str) -> float:
    """The number in `given`."""
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise invalid(name, "must be a number")
    return number


def moment_in(name: str, given: str) -> float | None:
    """RFC 3339, or seconds since the epoch, which it gives; None where nothing is given."""
    if not given:
        return None
    try:
        moment = datetime.datetime.fromisoformat(given.replace(" ", "+"))  # a + in a query is a space
    except ValueError:
        return finite(name, given)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "") or str(default)
    whole = text.removesuffix(".0")
    if not (whole.isascii() and whole.isdecimal()) or not 0 < int(whole[:10]) < 2**31:
        raise invalid(name, "must be a whole number from 1")
    return int(whole)
