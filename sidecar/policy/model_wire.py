"""Model servers: what people write under `model:` in a policy file, to the frozen value.

Promises to find every fault at once, to name each by its field path, and never to repeat a value. A secret is named by
where it stands, `{env: NAME}` or `{file: PATH}`; one that is written out is refused: the file would keep it in clear.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sidecar.errors import ConfigurationError
from sidecar.kit.addresses import refuse_password
from sidecar.kit.sizes import parse_seconds
from sidecar.model_server import ModelServer, SecretFrom
from sidecar.policy.shapes import Id, Shape
from sidecar.policy.wire import read_shape
from sidecar.protocol.model_call import problems_of_params
from sidecar.protocol.model_shapes import SHAPES
from sidecar.protocol.output_fields import FIELDS, check_expression

LONGEST_TIMEOUT_SECONDS = 100.0
"""A workflow's models must have answered before the lease of its job runs out."""
_HEADER = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)
_OURS = frozenset(("host", "content-length", "content-type", "transfer-encoding", "connection"))
_NEVER_HERE = "a secret is never written here: name where it stands, {env: NAME} or {file: PATH}"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the whole address of the predict call: http://host:port/path")
    refuse_password(text)
    return text


def _protocol(name: str) -> str:
    if name not in SHAPES:
        raise ValueError(f"must be one of {', '.join(SHAPES)}")
    return name


def _seconds(value: object) -> object:
    try:
        return parse_seconds(str(value))
    except ValueError:
        raise ValueError("must be a duration: write for example 10s") from None


def _text_or_place(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


def _key(key: ValueShape) -> ValueShape:
    if key.text:
        raise ValueError(_NEVER_HERE)
    return key


def _headers(headers: dict[str, ValueShape]) -> dict[str, ValueShape]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} is no header that may be set")
        if value.text and _SECRET_HEADER.search(name):
            raise ValueError(f"{name}: {_NEVER_HERE}")
        if not (value.text.isascii() and value.text.isprintable()):
            raise ValueError(f"{name}: holds characters that no header can carry")
    return headers


def _expressions(expressions: dict[str, str]) -> dict[str, str]:
    for name, expression in expressions.items():
        if name not in FIELDS:
            raise ValueError(f"has no field {name!r}: there are {', '.join(FIELDS)}")
        check_expression(expression)
    return expressions


class ValueShape(Shape):
    """A header's value: where it stands, or `text` when it was written out."""

    text: str = ""
    env: str = ""
    file: str = ""

    @model_validator(mode="after")
    def _names_one(self) -> ValueShape:
        if sum(map(bool, (self.text, self.env, self.file))) != 1:
            raise ValueError("must be one of text, {env: NAME} and {file: PATH}")
        return self


Value = Annotated[ValueShape, BeforeValidator(_text_or_place)]
Timeout = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=LONGEST_TIMEOUT_SECONDS)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=3600)]


class ModelServerShape(Shape):
    """`model:` as written. What is not there has the default of `ModelServer`."""

    id: Id
    url: Annotated[str, AfterValidator(_url)]
    protocol: Annotated[str, AfterValidator(_protocol)] | None = None
    name: Annotated[str, Field(min_length=1)] | None = None
    key: Annotated[Value, AfterValidator(_key)] | None = None
    headers: Annotated[dict[str, Value], AfterValidator(_headers)] = Field(default_factory=dict)
    timeout: Timeout | None = None
    connect_timeout: Timeout | None = None
    concurrency: Annotated[int, Field(strict=True, gt=0, le=1000)] | None = None
    tries: Annotated[int, Field(strict=True, gt=0, le=5)] | None = None
    breaker_failures: Annotated[int, Field(strict=True, gt=0, le=1000)] | None = None
    breaker_open: Seconds | None = None
    input_name: str | None = None
    labels: list[str] | None = None
    output: Annotated[dict[str, str], AfterValidator(_expressions)] | None = None
    params: dict[str, Any] | None = None


_PLAIN = ("id", "url", "protocol", "name", "concurrency", "tries", "breaker_failures", "input_name", "output", "params")
_SECONDS = {"timeout": "timeout_seconds", "connect_timeout": "connect_seconds", "breaker_open": "breaker_seconds"}


def read_model(obj: object, file: str = "", *, where: str = "model") -> ModelServer:
    """The model server that `obj` describes. Raises ConfigurationError with every fault, below `where`."""
    shape = read_shape(ModelServerShape, obj, where, file)
    given = {name: getattr(shape, name) for name in _PLAIN}
    given |= {ours: getattr(shape, name) for name, ours in _SECONDS.items()}
    server = ModelServer(
        **{name: value for name, value in given.items() if value is not None},
        key=_place(shape.key) if shape.key else None,
        headers=tuple((name, value.text or _place(value)) for name, value in shape.headers.items()),
        labels=tuple(shape.labels or ()),
        origin=file,
    )
    problems = problems_of_params(server, {}, is_partial=True)
    if problems:
        raise ConfigurationError([replace(each, field=f"{where}.{each.field}", file=file) for each in problems])
    return server


def _place(value: ValueShape) -> SecretFrom:
    return SecretFrom(value.env, value.file)
