"""Azure's model data collection: rows of inputs and of outputs, apart, joined here. Source: the contract, section 3.

The two halves of an exchange have one correlation id, and may stand in different files. What waits for its other half
is bounded; beyond it, and at the end, inputs go on without outputs and outputs alone are passed over. It names neither
model nor caller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sidecar.data import Json
from sidecar.kit.ids import digest
from sidecar.kit.json import dumps
from sidecar.records.bodies import Body, call_of
from sidecar.records.recorded import Recorded, RecordError
from sidecar.records.sagemaker import seconds_of

WAITING = 100_000
"""Halves that may wait."""
_TYPE = "azureml.inference."
_INPUTS = frozenset(("inputs", "input", "model_inputs", "request"))
_OUTPUTS = frozenset(("outputs", "output", "model_outputs", "predictions", "response"))


class AzureHalves:
    """Joins the halves that it is given."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._most = waiting
        self._waiting: OrderedDict[tuple[bool, str], Json] = OrderedDict()

    def take(self, document: Json) -> Iterator[Recorded]:
        """What `document`, a line's JSON, completes. Raises RecordError."""
        is_input, name = _role_of(document), _name_of(document)
        if document.get("data") is None:
            raise RecordError("data: is not in the line: payloads that it refers to are not read")
        other = self._waiting.pop((not is_input, name), None)
        if other is not None:
            yield _joined(document, other, name) if is_input else _joined(other, document, name)
            return
        self._waiting[is_input, name] = document
        while len(self._waiting) > self._most:
            (was_input, name), half = self._waiting.popitem(last=False)
            if was_input:
                yield _joined(half, None, name)

    def rest(self) -> Iterator[Recorded]:
        """What still waits."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for (is_input, name), half in waiting.items():
            if is_input:
                yield _joined(half, None, name)


def _role_of(document: Json) -> bool:
    """True for inputs."""
    kind = document.get("type")
    place = kind.removeprefix(_TYPE).lower() if isinstance(kind, str) else ""
    if place not in _INPUTS | _OUTPUTS:
        raise RecordError("type: is neither that of inputs nor that of outputs")
    return place in _INPUTS


def _name_of(document: Json) -> str:
    name = document.get("correlationid") or document.get("id")
    if not isinstance(name, str) or not name:
        raise RecordError("correlationid: must be text")
    return name


def _joined(given: Json, answered: Json | None, name: str) -> Recorded:
    request_id = given.get("xrequestid")
    headers = {"x-request-id": request_id} if isinstance(request_id, str) and request_id else {}
    metadata = {
        "headers": headers, "origin": "azure", "correlation_id": name, "status": 0 if answered is None else 200,
    }  # fmt: skip
    answer = None if answered is None else Body(dumps(answered["data"]))
    call = call_of(Body(dumps(given["data"])), answer, metadata)
    started_at = seconds_of(given.get("time"))
    ended_at = started_at if answered is None else seconds_of(answered.get("time"))
    return Recorded(digest("azure", name), started_at, max(0.0, ended_at - started_at), "", call)
