"""Rows that scoring code collects: no predict call on the wire, but read like one once they came.

A message is a list of row objects (what `azureml-ai-monitoring` posts), or one object with `columns` and `rows` (what
our own library posts). Each row is one item with one tensor a column; where its only text is its only cell, it is text
too. Source: the azure-model-data-collection contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.data import Concept, Data, Tensor, Text
from sidecar.errors import PermanentError
from sidecar.protocol.call import MAX_INPUTS, Items, Metadata, UndecodedError
from sidecar.protocol.concepts import concepts_of, concepts_of_several

_NO_METADATA: Mapping[str, Any] = {}
_TOLERANCE = 1e-3


def read_inputs(request: object, metadata: Metadata) -> Items:
    """The rows of a request, each with `metadata`. Raises UndecodedError."""
    return Items(_rows(request), lambda row: _item(row, metadata(), ()))


def read_outputs(answer: object, _count: int) -> Items:
    """The rows of an answer. Raises UndecodedError."""
    return Items(_rows(answer), lambda row: _item(row, _NO_METADATA, _concepts(row)))


def write_request(inputs: Sequence[Data]) -> list[dict[str, Any]]:
    """The rows of `inputs`. Raises PermanentError for an input that is none."""
    if not all(data.tensors for data in inputs):
        raise PermanentError("only an input with tensors can be written as a row")
    return [{tensor.name: tensor.value for tensor in data.tensors} for data in inputs]


def _rows(document: object) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        rows = _named(document.get("columns"), document.get("rows"))
    else:
        rows = document if isinstance(document, list) else []
    if not isinstance(document, dict | list) or not all(isinstance(row, dict) for row in rows):
        raise UndecodedError("must be a list of row objects, or columns and rows")
    if len(rows) > MAX_INPUTS:
        raise UndecodedError(f"{len(rows)} rows, more than {MAX_INPUTS}")
    return rows


def _named(columns: object, rows: object) -> list[dict[str, Any]]:
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise UndecodedError("columns and rows must be lists")
    try:
        return [dict(zip(map(str, columns), row, strict=True)) for row in rows]
    except (TypeError, ValueError) as error:
        raise UndecodedError("every row must be a list with a cell for each column") from error


def _item(row: dict[str, Any], metadata: Mapping[str, Any], concepts: tuple[Concept, ...]) -> Data:
    tensors = tuple([Tensor(value, name) for name, value in row.items()])
    alone = tensors[0].value if len(tensors) == 1 else None
    text = Text(alone) if isinstance(alone, str) and alone else None
    return Data(text=text, tensors=tensors, concepts=concepts, metadata=metadata)


def _concepts(row: dict[str, Any]) -> tuple[Concept, ...]:
    """Columns of probabilities that together sum to 1 name their concepts; else as in any model's named outputs."""
    floats = {name: value for name, value in row.items() if isinstance(value, float) and 0.0 <= value <= 1.0}
    if len(floats) > 1 and abs(sum(floats.values()) - 1.0) <= _TOLERANCE:
        return tuple([Concept(name, value) for name, value in floats.items()])
    values = tuple(row.values())
    return concepts_of(values[0]) if len(values) == 1 else concepts_of_several(values)
