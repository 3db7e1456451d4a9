"""Asking a Clarifai-style server: a model's `/outputs`, or a workflow's `/results`, an output for each of its nodes.

An answer's status code tells before its HTTP status. Source: the Clarifai Collectors contract, "Predict" and the codes
under "POST inputs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict

from sidecar.data import Data, from_wire, to_wire
from sidecar.errors import ConfigurationError
from sidecar.protocol.asked import AwayError, Params, Question, RefusedError, Written, to_json
from sidecar.protocol.call import UndecodedError, list_at

_SUCCESS = (0, 10000)
_MIXED = 10010
_THROTTLED = 11005
_CODES_END = 100_000
_ABOUT_THE_KEY = frozenset((11007, 11008, 11009))
_WORTH_ANOTHER_TRY = frozenset((10030, 11003, _THROTTLED, 21354, 21355, 39996, 39997, 40030, 40031, 40032, 41000))


class ClarifaiParams(Params):
    """Whatever the model takes: sent as `model.output_info.params`, judged by the server."""

    model_config = ConfigDict(frozen=True, extra="allow")


def write_model(question: Question) -> Written:
    params: ClarifaiParams = question.params
    request = _request(question.data)
    if params.model_extra:
        request["model"] = {"output_info": {"params": params.model_extra}}
    return Written(to_json(request))


def write_workflow(question: Question) -> Written:
    return Written(to_json(_request(question.data)))


def judge(answer: object) -> None:
    """Raises AwayError where the code says that another try may fare better, or that our key is the fault."""
    status = _status(answer)
    code = _code(status)
    if code in _ABOUT_THE_KEY:
        raise AwayError("key_refused", f"the model's server refuses our key: {_detail(status)}")
    if code in _WORTH_ANOTHER_TRY:
        raise AwayError("throttled" if code == _THROTTLED else "failed", f"the model answered {_detail(status)}")


def read_model(answer: object, question: Question) -> tuple[Data, ...]:
    """The one output. Raises UndecodedError, RefusedError or AwayError."""
    _refuse_failed(answer)
    outputs = list_at(answer, "outputs")
    if len(outputs) != 1:
        raise UndecodedError(f"{len(outputs)} outputs for 1 input")
    return (_data(outputs[0], "outputs[0]"),)


def read_workflow(answer: object, question: Question) -> tuple[Data, ...]:
    """The output of each node that gave one. Raises UndecodedError, RefusedError or AwayError."""
    _refuse_failed(answer)
    results = list_at(answer, "results")
    if len(results) != 1:
        raise UndecodedError(f"{len(results)} results for 1 input")
    _refuse_failed(results[0])
    outputs = list_at(results[0], "outputs")
    return tuple(_data(output, f"results[0].outputs[{index}]") for index, output in enumerate(outputs))


def _request(data: Data) -> dict[str, Any]:
    """The data's metadata stays here: it says who called, which is not the model's business."""
    return {"inputs": [{"data": to_wire(replace(data, metadata={}))}]}


def _data(output: object, where: str) -> Data:
    _refuse_failed(output)
    data = output.get("data") if isinstance(output, dict) else None
    try:
        return from_wire({} if data is None else data, f"{where}.data")
    except ConfigurationError as error:
        raise UndecodedError(str(error)) from error


def _refuse_failed(part: object) -> None:
    judge(part)
    status = _status(part)
    if _code(status) not in (*_SUCCESS, _MIXED):
        raise RefusedError("refused", f"the model answered {_detail(status)}")


def _status(part: object) -> Mapping[str, Any]:
    status = part.get("status") if isinstance(part, dict) else None
    return status if isinstance(status, dict) else {}


def _code(status: Mapping[str, Any]) -> int:
    code = status.get("code")
    return int(code) if isinstance(code, int | float) and abs(code) < _CODES_END else 0


def _detail(status: Mapping[str, Any]) -> str:
    return ": ".join(str(part) for part in (_code(status), status.get("description"), status.get("details")) if part)
