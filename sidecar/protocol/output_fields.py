"""A model's own JSON → the data model: by JMESPath expressions that a person wrote, or by the fields' own names.

Concepts may be a vector, `{label: score}`, a label alone, or a list of labels, pairs and objects; regions are objects
with a `box` of four numbers (top, left, bottom, right, each in [0, 1]) or the contract's bounding box. Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from sidecar.data import Concept, Data, Embedding, Region, Text, from_wire
from sidecar.errors import ConfigurationError
from sidecar.protocol.call import UndecodedError

_IDS = ("id", "label", "name", "class")
_SCORES = ("value", "score", "probability", "confidence")
_BOX_SIDES = 4


def check_expression(expression: str) -> str:
    """`expression` if it is JMESPath. Raises ValueError."""
    try:
        _compiled(expression)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath expression: {str(error).splitlines()[0]}") from error
    return expression


def read_mapped(answer: object, expressions: Mapping[str, str], labels: Sequence[str]) -> Data:
    """The data whose fields are what each expression finds; what none finds stays empty. Raises UndecodedError."""
    found = {}
    for name, expression in expressions.items():
        try:
            found[name] = _compiled(expression).search(answer)
        except JMESPathError as error:
            raise UndecodedError(f"output.{name}: {type(error).__name__} in the answer") from error
    return read_fields(found, labels)


def read_object(value: object, labels: Sequence[str]) -> Data:
    """A JSON object with our fields' names, or a lone `label` with its `score`; what else it holds is metadata."""
    if not isinstance(value, Mapping):
        raise UndecodedError("the model's JSON must be an object")
    fields = {name: value[name] for name in FIELDS if name in value}
    rest = {name: part for name, part in value.items() if name not in fields}
    if "label" in rest and "concepts" not in fields:
        fields["concepts"] = [{name: rest.pop(name) for name in ("label", *_SCORES) if name in rest}]
    if rest:
        own = fields.get("metadata")
        fields["metadata"] = {**rest, **(own if isinstance(own, Mapping) else {})}
    return read_fields(fields, labels)


def read_fields(fields: Mapping[str, Any], labels: Sequence[str]) -> Data:
    """Each of `fields` by its name. Raises UndecodedError."""
    read: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None:
            read[name] = FIELDS[name](value, name, labels)
    return Data(**read)


def named(concepts: tuple[Concept, ...], labels: Sequence[str]) -> tuple[Concept, ...]:
    """`concepts` with the label for each id that is an index."""
    if not labels:
        return concepts
    return tuple(each._replace(id=_label(each.id, labels)) for each in concepts)


def _label(index: str, labels: Sequence[str]) -> str:
    is_index = index.isascii() and index.isdecimal() and int(index) < len(labels)
    return labels[int(index)] if is_index else index


@functools.lru_cache(maxsize=256)
def _compiled(expression: str) -> Any:  # noqa: ANN401 - jmespath's own type has no stubs for its result
    return jmespath.compile(expression)


def _fail(where: str, expected: str) -> UndecodedError:
    return UndecodedError(f"{where}: must be {expected}")


def _text(value: object, where: str, labels: Sequence[str]) -> Text | None:
    if not isinstance(value, str):
        raise _fail(where, "text")
    return Text(value.strip()) if value.strip() else None


def _concepts(value: object, where: str, labels: Sequence[str]) -> tuple[Concept, ...]:
    if isinstance(value, str | int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, Mapping):
        value = [[label, score] for label, score in value.items()]
    if not isinstance(value, list):
        raise _fail(where, "a list, an object or a label")
    if value and all(isinstance(each, float) for each in value):
        value = [[str(index), score] for index, score in enumerate(value)]
    return named(tuple(_concept(each, f"{where}[{index}]") for index, each in enumerate(value)), labels)


def _concept(value: object, where: str) -> Concept:
    score: object = 1.0
    if isinstance(value, Mapping):
        name = next((value[key] for key in _IDS if key in value), None)
        score = next((value[key] for key in _SCORES if key in value), 1.0)
    elif isinstance(value, list) and len(value) == 2:
        name, score = value
    else:
        name = value
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise _fail(where, "a label, [label, score] or an object with a label")
    return Concept(str(name), _score(score, where))


def _score(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise _fail(where, "a score from 0 to 1")
    return float(value)


def _embeddings(value: object, where: str, labels: Sequence[str]) -> tuple[Embedding, ...]:
    if isinstance(value, Mapping):
        value = value.get("vector")
    if not isinstance(value, list):
        raise _fail(where, "a list of numbers")
    rows = value if value and all(isinstance(row, list | Mapping) for row in value) else [value]
    return tuple(_embedding(row, f"{where}[{index}]") for index, row in enumerate(rows) if row)


def _embedding(row: object, where: str) -> Embedding:
    vector = row.get("vector") if isinstance(row, Mapping) else row
    if not isinstance(vector, list) or any(type(each) not in (int, float) for each in vector):
        raise _fail(where, "a list of numbers")
    return Embedding(tuple(map(float, vector)))


def _regions(value: object, where: str, labels: Sequence[str]) -> tuple[Region, ...]:
    if not isinstance(value, list):
        raise _fail(where, "a list")
    return tuple(_region(each, f"{where}[{index}]", labels) for index, each in enumerate(value))


def _region(value: object, where: str, labels: Sequence[str]) -> Region:
    if not isinstance(value, Mapping):
        raise _fail(where, "an object")
    if "region_info" in value:
        return _from_wire({"regions": [value]}, where).regions[0]
    box = value.get("box")
    if not isinstance(box, list) or len(box) != _BOX_SIDES:
        raise _fail(f"{where}.box", "four numbers: top, left, bottom, right")
    top, left, bottom, right = (_score(side, f"{where}.box") for side in box)
    concepts: object = value.get("concepts")
    if concepts is None:
        concepts = [value] if any(key in value for key in _IDS[1:]) else []
    name = value.get("id")
    return Region(
        name if isinstance(name, str) else "", (top, left, bottom, right), _concepts(concepts, where, labels)
    )  # fmt: skip


def _metadata(value: object, where: str, labels: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fail(where, "an object")
    return dict(value)


def _from_wire(wire: object, where: str) -> Data:
    try:
        return from_wire(wire, where)
    except ConfigurationError as error:
        raise UndecodedError(str(error)) from error


FIELDS: Mapping[str, Callable[[Any, str, Sequence[str]], Any]] = {
    "text": _text,
    "concepts": _concepts,
    "regions": _regions,
    "embeddings": _embeddings,
    "metadata": _metadata,
}
