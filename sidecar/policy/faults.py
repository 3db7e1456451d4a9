"""What pydantic found wrong, as problems that a person can act on.

Promises that every problem names its field by the contract's spelling, and that no message repeats a value: what
stands in the wrong place may be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

from sidecar.errors import Problem

_MESSAGES = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "invalid_key": "is not a field's name: names are text",
}


def problems_of(error: ValidationError, shape: type[BaseModel], where: str, file: str = "") -> list[Problem]:
    """The faults in `error` as problems; `where` is the field path of what was read as `shape`."""
    return [_problem(details, shape, where, file) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, shape: type[BaseModel], where: str, file: str) -> Problem:
    place = details["loc"]
    if details["type"] == "extra_forbidden":
        return _unknown_field(str(place[-1]), _shape_at(shape, place[:-1]), path_of(where, place[:-1]), file)
    return Problem(_message(details), field=path_of(where, place), file=file)


def _message(details: ErrorDetails) -> str:
    kind = details["type"]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "string_type":
        given = type(details["input"]).__name__
        return f"must be text, not {given}: put it in quotes" if given in ("int", "float", "bool") else "must be text"
    return _MESSAGES.get(kind, details["msg"]).format(**details.get("ctx", {}))


def _unknown_field(name: str, shape: type[BaseModel] | None, where: str, file: str) -> Problem:
    known = list(shape.model_fields) if shape else []
    if to_snake(name) in known:
        return Problem("stands there twice, in both spellings", field=f"{where}.{to_snake(name)}", file=file)
    near = difflib.get_close_matches(to_snake(name), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return Problem(f"no such field: {hint}", field=f"{where}.{name}", file=file)


def path_of(where: str, place: Sequence[str | int]) -> str:
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
