"""Clarifai's predict calls: `inputs[i].data` in the request, `outputs[i].data` in the answer.

Inputs are read from the request: the answer's echo of them has placeholder content. Source: the Clarifai Collectors
contract, "Predict".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.data import Data, from_wire, to_wire
from sidecar.errors import ConfigurationError
from sidecar.protocol.call import Items, Metadata, UndecodedError, list_at

_SUCCESS = 10000


def read_inputs(request: object, metadata: Metadata) -> Items:
    """The items of a request; `metadata` is joined to an item's own. Raises UndecodedError."""
    items = [_data_at(item, f"inputs[{index}]") for index, item in enumerate(list_at(request, "inputs"))]
    return Items(items, lambda data: replace(data, metadata=_joined(data.metadata, metadata())))


def read_outputs(answer: object, count: int) -> tuple[Data | None, ...]:
    """The items of an answer; None where one has a status that is no success. Raises UndecodedError."""
    items = enumerate(list_at(answer, "outputs"))
    return tuple([None if _has_failed(item) else _data_at(item, f"outputs[{index}]") for index, item in items])


def read_version(answer: object) -> str:
    """The version that the first output names."""
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    value: object = outputs[0] if isinstance(outputs, list) and outputs else None
    for snake, camel in (("model", "model"), ("model_version", "modelVersion"), ("id", "id")):
        value = value.get(snake, value.get(camel)) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def write_request(inputs: Sequence[Data]) -> dict[str, Any]:
    """The request with `inputs`; their metadata stays here: it says who called, which is not the model's business."""
    return {"inputs": [{"data": to_wire(replace(data, metadata={}))} for data in inputs]}


def _data_at(item: object, where: str) -> Data:
    data = item.get("data") if isinstance(item, dict) else None
    try:
        return from_wire({} if data is None else data, f"{where}.data")
    except ConfigurationError as error:
        raise UndecodedError(str(error)) from error


def _has_failed(item: object) -> bool:
    status = item.get("status") if isinstance(item, dict) else None
    return isinstance(status, dict) and status.get("code", _SUCCESS) != _SUCCESS


def _joined(own: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both; where names clash ours stands, as filters rely on it, and the client's is kept under `client`."""
    clashing = {name: own[name] for name in own if name in ours}
    joined = {**own, **ours}
    return {**joined, "client": clashing} if clashing else joined
