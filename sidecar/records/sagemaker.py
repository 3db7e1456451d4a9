"""SageMaker's data capture: one exchange a line. Source: the contract on neighbouring record formats.

It names neither model nor caller; ids are the event's. A capture without an answer is one of a failed call.
"""

from __future__ import annotations

import datetime
from typing import Any

from sidecar.data import Json
from sidecar.kit.ids import digest
from sidecar.records.bodies import Body, body_of, call_of
from sidecar.records.recorded import Recorded, RecordError


def read_capture(document: Json) -> Recorded:
    """The exchange of a line's JSON. Raises RecordError."""
    captured, event = _object(document, "captureData"), _object(document, "eventMetadata")
    request = _side(captured, "endpointInput")
    if request is None:
        raise RecordError("captureData.endpointInput: is missing")
    answer = _side(captured, "endpointOutput")
    event_id = event.get("eventId")
    if not isinstance(event_id, str) or not event_id:
        raise RecordError("eventMetadata.eventId: must be text")
    inference_id = event.get("inferenceId")
    headers = {"x-amzn-sagemaker-inference-id": inference_id} if isinstance(inference_id, str) else {}
    metadata = {"headers": headers, "origin": "sagemaker", "status": 0 if answer is None else 200}
    started_at = seconds_of(event.get("inferenceTime"))
    return Recorded(digest("sagemaker", event_id), started_at, 0.0, "", call_of(request, answer, metadata))


def seconds_of(text: object) -> float:
    """RFC 3339 → seconds since the epoch; 0 for what is none."""
    try:
        moment = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _object(document: Json, name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise RecordError(f"{name}: must be an object")
    return value


def _side(captured: Json, name: str) -> Body | None:
    if captured.get(name) is None:
        return None
    side = _object(captured, name)
    return body_of(side.get("data"), side.get("encoding"), side.get("observedContentType"))
