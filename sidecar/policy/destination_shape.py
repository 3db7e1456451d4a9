"""How people write a collector's destinations: one, or a list of such; each a kind's name, or a kind with its options.

Knows no kind: options are judged by what is handed to `policy.checks`. A fault in a list is named by its place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from sidecar.collector import Destination
from sidecar.kit.ids import ID

MAX_NAME_LENGTH = 48
MAX_DESTINATIONS = 16
_NAME = "name"


def read_destinations(value: object) -> tuple[Destination, ...]:
    """What `value` names: `app`, `{kind: {options}}`, `{kind: {options}, name: other}`, or several of these in a list.

    Raises ValueError, or ValidationError with the place of each fault in the list.
    """
    if not isinstance(value, list):
        return (_read(value),)
    if not 1 <= len(value) <= MAX_DESTINATIONS:
        raise ValueError(f"must name one destination at least, and at most {MAX_DESTINATIONS}")
    found: list[Destination] = []
    faults: list[InitErrorDetails] = []
    for index, each in enumerate(value):
        try:
            found.append(_read_unlike(found, each))
        except ValueError as error:
            faults.append(_fault(index, error))
    if faults:
        raise ValidationError.from_exception_data("destination", faults)
    return tuple(found)


def _read_unlike(others: Sequence[Destination], value: object) -> Destination:
    destination = _read(value)
    if any(destination.name == other.name for other in others):
        raise ValueError("is named like one before it: tell them apart, `{clarifai: {…}, name: second}`")
    return destination


def _read(value: object) -> Destination:
    if isinstance(value, str) and value:
        return Destination(value)
    if isinstance(value, dict):
        kinds = [kind for kind in value if kind != _NAME]
        if len(kinds) == 1 and isinstance(kinds[0], str) and kinds[0]:
            options = value[kinds[0]]
            if options is None or isinstance(options, dict):
                return Destination(kinds[0], options or {}, _read_name(value.get(_NAME, "")))
    raise ValueError(
        "must be one kind: `destination: app`, or with options `destination: {clarifai: {base_url: …}}`; "
        "or a list of these"
    )


def _read_name(name: object) -> str:
    if name == "" or (isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and ID.fullmatch(name)):
        return name
    raise ValueError(f"`name` is no name: letters and digits, single - or _ between them, at most {MAX_NAME_LENGTH}")


def _fault(index: int, error: ValueError) -> InitErrorDetails:
    kind = PydanticCustomError("value_error", "{error}", {"error": str(error)})
    return InitErrorDetails(type=kind, loc=(index,), input=None)


_ONE_SCHEMA = {
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "minProperties": 1, "maxProperties": 2}]
}
_SCHEMA = {"anyOf": [_ONE_SCHEMA, {"type": "array", "items": _ONE_SCHEMA, "minItems": 1, "maxItems": MAX_DESTINATIONS}]}
DestinationsShape = Annotated[
    tuple[Destination, ...], PlainValidator(read_destinations), WithJsonSchema(_SCHEMA)
]  # fmt: skip
