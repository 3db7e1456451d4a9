"""TensorFlow Serving's REST predict calls, which KServe v1 speaks too.

Requests: `instances`, columnar `inputs`, or `examples` with a shared `context`; `{"b64"}` is bytes. Answers:
`predictions`, columnar `outputs`, `results`. A JSON object becomes one tensor a field, a string becomes text, anything
else one tensor without a name. Columns are split by item when all have the same length, else they are one item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.data import Concept, Data, Tensor, Text, from_bytes
from sidecar.errors import PermanentError
from sidecar.protocol.call import MAX_INPUTS, Items, Metadata, UndecodedError, list_at
from sidecar.protocol.concepts import concepts_of, concepts_of_several
from sidecar.protocol.stand_in import BYTES, content_of, from_base64, is_stand_in, to_base64

_NO_METADATA: Mapping[str, Any] = {}


def read_inputs(request: object, metadata: Metadata) -> Items:
    """The items of a request, each with `metadata`. Raises UndecodedError."""
    if not isinstance(request, dict):
        raise UndecodedError("must be an object with instances, inputs or examples")
    if "inputs" in request:
        items = _split(request["inputs"], None)
    elif "examples" in request:
        context = request.get("context")
        items = [_in_context(example, context) for example in list_at(request, "examples")]
    else:
        items = list_at(request, "instances")
    return Items(items, lambda item: _read(item, metadata()))


def read_outputs(answer: object, count: int) -> Items:
    """The items of an answer to `count` inputs. Raises UndecodedError."""
    if isinstance(answer, dict) and "outputs" in answer:
        items = _split(answer["outputs"], count)
    elif isinstance(answer, dict) and "results" in answer:
        items = list_at(answer, "results")
    else:
        items = list_at(answer, "predictions")
    return Items(items, _read_output)


def write_request(inputs: Sequence[Data]) -> dict[str, Any]:
    """The request whose instances are `inputs`. Raises PermanentError for an input without tensors, media or text."""
    return {"instances": [_instance(data) for data in inputs]}


def _read_output(item: object) -> Data:
    return _read(item, _NO_METADATA, _concepts(item))


def _in_context(example: object, context: object) -> object:
    return {**context, **example} if isinstance(context, dict) and isinstance(example, dict) else example


def _split(columns: object, count: int | None) -> list[Any]:
    """Columns as items: `count` of them, or as many as the columns are long; else one item, the columns whole."""
    if isinstance(columns, dict) and columns:
        lengths = {len(column) if isinstance(column, list) else -1 for column in columns.values()}
        length = lengths.pop() if len(lengths) == 1 else -1
    else:
        length = len(columns) if isinstance(columns, list) else -1
    if length < 0 or (count == 1 and length != 1):
        return [columns]
    if length > MAX_INPUTS:
        raise UndecodedError(f"columns of {length} items, more than {MAX_INPUTS}")
    if isinstance(columns, dict):
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return list(columns) if isinstance(columns, list) else [columns]


def _concepts(item: object) -> tuple[Concept, ...]:
    if isinstance(item, dict) and "label" not in item:
        return concepts_of_several(tuple(item.values()))
    return concepts_of(item)


def _read(item: object, metadata: Mapping[str, Any], concepts: tuple[Concept, ...] = ()) -> Data:
    if isinstance(item, dict) and item and "" not in item:
        return _read_fields(item, metadata, concepts)
    if isinstance(item, str):
        return Data(text=Text(item), metadata=metadata)
    return Data(tensors=(Tensor(item),), concepts=concepts, metadata=metadata)


def _read_fields(item: dict[str, Any], metadata: Mapping[str, Any], concepts: tuple[Concept, ...]) -> Data:
    content = _binary(item)
    if content is not None:
        return replace(from_bytes(content), metadata=metadata)
    media = None
    tensors = []
    for name, value in item.items():
        content = _binary(value)
        if content is not None and media is None:
            media = content
            tensors.append(Tensor(None, name, BYTES))
        else:
            tensors.append(Tensor(value, name) if content is None else Tensor(content, name, BYTES))
    if media is None:
        return Data(tensors=tuple(tensors), concepts=concepts, metadata=metadata)
    return replace(from_bytes(media), tensors=tuple(tensors), concepts=concepts, metadata=metadata)


def _binary(value: object) -> bytes | None:
    """The bytes of `{"b64": …}`; deeper inside lists such objects stay JSON, as they came."""
    return from_base64(value["b64"]) if isinstance(value, dict) and value.keys() == {"b64"} else None


def _instance(data: Data) -> Any:  # noqa: ANN401 - any JSON value
    if not data.tensors:
        content = content_of(data)
        if content is None:
            raise PermanentError("the model call needs tensors, text or the bytes of a medium: this input has none")
        return _json(content)
    if len(data.tensors) == 1 and not data.tensors[0].name:
        return _json(data.tensors[0].value)
    return {
        tensor.name or f"input_{index}": _json(content_of(data) if is_stand_in(tensor) else tensor.value)
        for index, tensor in enumerate(data.tensors)
    }


def _json(value: object) -> object:
    return {"b64": to_base64(value)} if isinstance(value, bytes) else value
