"""Asking a server that speaks a predict protocol: TensorFlow Serving's REST (V1) and the Open Inference Protocol (V2).

Bytes go as `{"b64"}` in the one; in the other by its binary tensor extension, which JSON has no place for: elements
with a 4-byte little-endian length, after the JSON. Source: the predict-protocols contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.data import Data, Tensor
from sidecar.protocol import openinference, tensorflow
from sidecar.protocol.asked import JSON_HEADERS, Params, Question, Written, to_json
from sidecar.protocol.call import UndecodedError
from sidecar.protocol.stand_in import BYTES, content_of, is_stand_in

_LENGTH_BYTES = 4
_MEDIA = ("image", "audio", "video", "raw", "text")


class TensorFlowParams(Params):
    signature_name: str = ""


class OpenInferenceParams(Params):
    parameters: dict[str, str | int | float | bool] | None = None
    """The request's own `parameters`, as the server documents them."""


def write_tensorflow(question: Question) -> Written:
    """Raises PermanentError for an input without tensors, media or text."""
    request = tensorflow.write_request([_named(question.data, question.input_name)])
    params: TensorFlowParams = question.params
    if params.signature_name:
        request["signature_name"] = params.signature_name
    return Written(to_json(request))


def read_tensorflow(answer: object, question: Question) -> tuple[Data, ...]:
    return _only(tensorflow.read_outputs(answer, 1))


def write_openinference(question: Question) -> Written:
    """Raises PermanentError for an input without tensors, media or text."""
    data = _named(question.data, question.input_name)
    if not data.tensors and not isinstance(content_of(data), str):
        data = _named(data, _kind_of(data))
    params: OpenInferenceParams = question.params
    more = {"parameters": params.parameters} if params.parameters else {}
    contents = [content_of(data) if is_stand_in(tensor) else tensor.value for tensor in data.tensors]
    if any(isinstance(content, bytes) for content in contents):
        return _binary(data, contents, more)
    return Written(to_json(openinference.write_request([data]) | more))


def read_openinference(answer: object, question: Question) -> tuple[Data, ...]:
    return _only(openinference.read_outputs(answer, 1))


def _only(outputs: Sequence[Data]) -> tuple[Data, ...]:
    if len(outputs) != 1:
        raise UndecodedError(f"{len(outputs)} outputs for 1 input")
    return tuple(outputs)


def _kind_of(data: Data) -> str:
    return next((name for name in _MEDIA if getattr(data, name) is not None), "")


def _named(data: Data, name: str) -> Data:
    """`data` with `name` for its only tensor, or for its content when it has no tensors."""
    if not name or len(data.tensors) > 1:
        return data
    if data.tensors:
        return replace(data, tensors=(replace(data.tensors[0], name=name),))
    return data if content_of(data) is None else replace(data, tensors=(Tensor(None, name, BYTES),))


def _binary(data: Data, contents: list[Any], more: Mapping[str, Any]) -> Written:
    tensors: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for tensor, content in zip(data.tensors, contents, strict=True):
        if isinstance(content, bytes):
            chunks += [len(content).to_bytes(_LENGTH_BYTES, "little"), content]
            size = {"binary_data_size": _LENGTH_BYTES + len(content)}
            name = tensor.name or f"input-{len(tensors)}"
            tensors.append({"name": name, "datatype": BYTES, "shape": [1, *tensor.shape], "parameters": size})
        else:
            written = openinference.write_request([Data(tensors=(replace(tensor, value=content),))])
            tensors += written["inputs"]
    head = to_json({"inputs": tensors, **more})
    length = {openinference.BINARY_HEADER.title(): str(len(head)), "Content-Type": "application/octet-stream"}
    return Written(b"".join((head, *chunks)), {**JSON_HEADERS, **length})
