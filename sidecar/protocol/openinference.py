"""The Open Inference Protocol (v2) in JSON, which KServe, Triton, MLServer, OpenVINO and Seldon speak.

Tensors are split by item along the first axis when all of them share it, else they are one item, whole. A lone BYTES
tensor with one string an item is text. A request or answer that announces the binary tensor extension is undecoded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.data import Concept, Data, Tensor, Text
from sidecar.errors import PermanentError
from sidecar.protocol.call import MAX_INPUTS, Items, Metadata, UndecodedError, list_at
from sidecar.protocol.concepts import concepts_of_classified, concepts_of_several
from sidecar.protocol.stand_in import BYTES, content_of, is_stand_in

BINARY_HEADER = "inference-header-content-length"
_NO_METADATA: Mapping[str, Any] = {}
_FLOATS = ("FP", "BF")
_WHOLE = frozenset((int,))


class _Column(NamedTuple):
    """One tensor of a message, with its first axis; `data` is flat or nested, both are in use."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


def read_inputs(request: object, metadata: Metadata) -> Items:
    """The items of a request, each with `metadata`. Raises UndecodedError."""
    columns = _columns(request, "inputs")
    return Items(_items(columns, _shared_axis(columns)), lambda tensors: _item(tensors, metadata()))


def read_outputs(answer: object, count: int) -> Items:
    """The items of an answer to `count` inputs. Raises UndecodedError."""
    columns = _columns(answer, "outputs")
    length = _shared_axis(columns)
    if count == 1 and length != 1:
        length = None
    return Items(_items(columns, length), lambda tensors: _item(tensors, _NO_METADATA, _concepts(tensors)))


def read_version(answer: object) -> str:
    version = answer.get("model_version") if isinstance(answer, dict) else None
    return version if isinstance(version, str) else ""


def write_request(inputs: Sequence[Data]) -> dict[str, Any]:
    """The request with `inputs` as its batch. Raises PermanentError when they do not share names, types and shapes."""
    rows = [_tensors_to_write(data) for data in inputs]
    for row in rows[1:]:
        if [_kind(tensor) for tensor in row] != [_kind(tensor) for tensor in rows[0]]:
            raise PermanentError("the inputs of one openinference call must share tensor names, datatypes and shapes")
    return {"inputs": [_write_column(column) for column in zip(*rows, strict=True)]}


def _columns(document: object, where: str) -> list[_Column]:
    columns = [_column(value, f"{where}[{index}]") for index, value in enumerate(list_at(document, where))]
    if not columns:
        raise UndecodedError(f"{where}: holds no tensor")
    return columns


def _column(value: object, where: str) -> _Column:
    if not isinstance(value, dict):
        raise UndecodedError(f"{where}: must be an object")
    name, datatype, shape, data = value.get("name"), value.get("datatype"), value.get("shape"), value.get("data")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise UndecodedError(f"{where}: name and datatype must be strings")
    if not isinstance(shape, list) or not _WHOLE.issuperset(map(type, shape)) or (shape and min(shape) < 0):
        raise UndecodedError(f"{where}.shape: must be a list of lengths")
    if not isinstance(data, list):
        raise UndecodedError(f"{where}.data: must be a list")
    return _Column(name, datatype, tuple(shape), data)


def _shared_axis(columns: list[_Column]) -> int | None:
    """The length of the first axis, when all columns have the same one."""
    lengths = {column.shape[0] if column.shape else None for column in columns}
    length = lengths.pop() if len(lengths) == 1 else None
    if length is not None and length > MAX_INPUTS:
        raise UndecodedError(f"a batch of {length} items, more than {MAX_INPUTS}")
    return length


def _items(columns: list[_Column], length: int | None) -> list[tuple[Tensor, ...]]:
    if length is None:
        return [tuple([Tensor(column.data, column.name, column.datatype, column.shape) for column in columns])]
    split = [_split(column, length) for column in columns]
    return list(zip(*split, strict=True))


def _split(column: _Column, length: int) -> list[Tensor]:
    name, datatype, shape, data = column
    shape = shape[1:]
    if len(data) == length and (not shape or (data and isinstance(data[0], list))):
        rows = data
    else:
        step = math.prod(shape)
        if len(data) != length * step:
            raise UndecodedError(f"tensor {name[:80]!r}: {len(data)} values do not fill shape {list(column.shape)}")
        rows = [data] if length == 1 else [data[index * step : (index + 1) * step] for index in range(length)]
    return [Tensor(row, name, datatype, shape) for row in rows]


def _item(tensors: tuple[Tensor, ...], metadata: Mapping[str, Any], concepts: tuple[Concept, ...] = ()) -> Data:
    if len(tensors) == 1 and tensors[0].datatype == BYTES and not concepts:
        text = _only(tensors[0].value)
        if isinstance(text, str):
            name, shape = tensors[0].name, tensors[0].shape
            return Data(text=Text(text), tensors=(Tensor(None, name, BYTES, shape),), metadata=metadata)
    return Data(tensors=tensors, concepts=concepts, metadata=metadata)


def _only(value: object) -> object:
    """The one element of nested lists of length 1."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _concepts(tensors: tuple[Tensor, ...]) -> tuple[Concept, ...]:
    for tensor in tensors:
        if tensor.datatype == BYTES and isinstance(tensor.value, list) and tensor.value:
            concepts = concepts_of_classified(tensor.value)
            if concepts:
                return concepts
    return concepts_of_several([t.value if _may_be_probabilities(t) else None for t in tensors])


def _may_be_probabilities(tensor: Tensor) -> bool:
    return tensor.datatype.startswith(_FLOATS) and len(tensor.shape) <= 1


def _tensors_to_write(data: Data) -> list[Tensor]:
    if data.tensors:
        tensors = [t if not is_stand_in(t) else Tensor(content_of(data), t.name, BYTES, t.shape) for t in data.tensors]
    elif data.text is not None:
        tensors = [Tensor(content_of(data), "text", BYTES)]
    else:
        tensors = []
    if not tensors or any(tensor.value is None or isinstance(tensor.value, bytes) for tensor in tensors):
        raise PermanentError("an openinference call in JSON carries tensors of numbers and text: this input has none")
    return [_named(tensor, index) for index, tensor in enumerate(tensors)]


def _named(tensor: Tensor, index: int) -> Tensor:
    """`tensor` with what another protocol's lacks: a name, a datatype and a shape."""
    if tensor.name and tensor.datatype:
        return tensor
    element, shape = tensor.value, []
    while isinstance(element, list):
        shape.append(len(element))
        element = element[0] if element else 0.0
    datatype = BYTES if isinstance(element, str) else "BOOL" if isinstance(element, bool) else "FP64"
    return Tensor(tensor.value, tensor.name or f"input-{index}", tensor.datatype or datatype, tuple(shape))


def _kind(tensor: Tensor) -> tuple[str, str, tuple[int, ...]]:
    return tensor.name, tensor.datatype, tensor.shape


def _write_column(column: tuple[Tensor, ...]) -> dict[str, Any]:
    name, datatype, shape = _kind(column[0])
    data: list[Any] = []
    for tensor in column:
        _flatten(tensor.value, data)
    return {"name": name, "datatype": datatype, "shape": [len(column), *shape], "data": data}


def _flatten(value: object, into: list[Any]) -> None:
    if isinstance(value, list):
        for part in value:
            _flatten(part, into)
    else:
        into.append(value)
