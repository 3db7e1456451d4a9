"""What pydantic found wrong in what a person wrote, in words that the person can act on.

Promises that every fault names its field by the shape's own spelling, and that no message repeats a value: what stands
in the wrong place may be a secret. Not for the relay, which knows no pydantic.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

_MESSAGES = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "invalid_key": "is not a field's name: names are text",
}

_NEAR = 0.75
"""How alike a name must be to be taken for a slip of the pen."""


class Fault(NamedTuple):
    """One fault: the path of its field, and what to do about it."""

    field: str
    message: str


def faults_of(error: ValidationError, shape: type[BaseModel], where: str) -> list[Fault]:
    """The faults in `error`; `where` is the field path of what was read as `shape`."""
    return [_fault(details, shape, where) for details in error.errors(include_url=False)]


def _fault(details: ErrorDetails, shape: type[BaseModel], where: str) -> Fault:
    place = details["loc"]
    if details["type"] == "extra_forbidden":
        return _unknown_field(str(place[-1]), _shape_at(shape, place[:-1]), _path_of(where, place[:-1]))
    return Fault(_path_of(where, place), _message(details))


def _message(details: ErrorDetails) -> str:
    kind = details["type"]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "string_type":
        given = type(details["input"]).__name__
        return f"must be text, not {given}: put it in quotes" if given in ("int", "float", "bool") else "must be text"
    ours = _MESSAGES.get(kind)
    return ours.format(**details.get("ctx", {})) if ours else details["msg"]  # which may hold braces: a pattern's


def _unknown_field(name: str, shape: type[BaseModel] | None, where: str) -> Fault:
    known = [field.alias or name for name, field in shape.model_fields.items()] if shape else []
    if to_snake(name) in known:
        return Fault(f"{where}.{to_snake(name)}", "stands there twice, in both spellings")
    near = difflib.get_close_matches(to_snake(name), known, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "there is none"
    return Fault(f"{where}.{name}", f"no such field: {hint}")


def _path_of(where: str, place: Sequence[str | int]) -> str:
    """`collector` and ("nodes", 1, "modelId") → `collector.nodes[1].model_id`."""
    for part in place:
        where += f"[{part}]" if isinstance(part, int) else f".{to_snake(part)}"
    return where


def _shape_at(shape: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = shape
    for part in place:
        if current is not None and isinstance(part, str):
            field = current.model_fields.get(to_snake(part))
            current = _shape_in(field.annotation) if field else None
    return current


def _shape_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type's annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_shape_in, get_args(annotation))), None)
