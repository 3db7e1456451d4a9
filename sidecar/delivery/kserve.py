"""A parcel as KServe's logger would have sent it: two binary CloudEvents, the request's and the response's. Pure.

Both carry the input id, the types and the extensions that KServe's readers look for, besides what every event of ours
tells. The bytes of the exchange are not kept, so the bodies are made anew from the input and the output, for one input
alone: tensors that name a datatype as the Open Inference Protocol (`{"inputs"}`, `{"outputs"}`), a body that no
protocol decodes as it was, everything else as V1 (`{"instances"}`, `{"predictions"}`). What neither protocol can say
(regions, concepts alone, a medium by its address) is an instance in the shape of the data model. As KServe does, no
response is sent unless the model answered with 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from cloudevents.core.v1.event import CloudEvent

from sidecar.data import Data, to_wire
from sidecar.delivery.cloud_event import extensions_of, source_of
from sidecar.delivery.destination import Details, Parcel
from sidecar.errors import PermanentError
from sidecar.kit.json import dumps
from sidecar.protocol import openinference, tensorflow

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
_OK = 200
_JSON = "application/json"


class Service(NamedTuple):
    """Whose traffic it is said to be; a blank `name` means the model's."""

    name: str = ""
    namespace: str = "default"
    component: str = "predictor"
    endpoint: str = "default"


def to_pair(parcel: Parcel, service: Service, source: str = "") -> tuple[CloudEvent, ...]:
    """The request's event, and the response's when there was one. Raises TypeError for what JSON cannot say."""
    details, given, output = parcel.details(), parcel.given(), parcel.output()
    shared = {"id": parcel.input_id, "source": source or source_of(parcel), **extensions_of(parcel, details)}
    shared |= {
        "inferenceservicename": service.name or parcel.model,
        "namespace": service.namespace,
        "component": service.component,
        "endpoint": service.endpoint,
        "metadata": _metadata(details),
    }
    request = _event(shared, REQUEST, details.started_at, *_request(parcel, given))
    if output is None or details.status != _OK:
        return (request,)
    ended_at = details.started_at + details.latency_seconds
    return request, _event(shared, RESPONSE, ended_at, _response(parcel, output), _JSON)


def _event(shared: Mapping[str, Any], kind: str, at: float, body: bytes, media_type: str) -> CloudEvent:
    time = datetime.fromtimestamp(at, UTC)
    return CloudEvent({**shared, "type": kind, "time": time, "datacontenttype": media_type}, body)


def _metadata(details: Details) -> str:
    """The kept headers as Go writes them: `{"Traceparent": ["00-…"]}`."""
    return orjson.dumps({name.title(): [value] for name, value in details.headers.items()}).decode()


def _request(parcel: Parcel, given: Data) -> tuple[bytes, str]:
    if given.raw is not None:
        return given.raw.content, given.raw.media_type or "application/octet-stream"
    tensors = _tensors(given)
    body = {"instances": [_instance(given)]} if tensors is None else {"id": parcel.input_id, "inputs": tensors}
    return dumps(body), _JSON


def _response(parcel: Parcel, output: Data) -> bytes:
    tensors = _tensors(output)
    if tensors is None:
        return dumps({"predictions": [_instance(output)]})
    named = {"model_name": parcel.model, "model_version": parcel.version, "id": parcel.input_id}
    return dumps({name: value for name, value in named.items() if value} | {"outputs": tensors})


def _tensors(data: Data) -> list[Any] | None:
    """As the Open Inference Protocol writes them in JSON; None when it cannot, or the model speaks another."""
    if not data.tensors or not all(tensor.datatype for tensor in data.tensors):
        return None
    try:
        return list(openinference.write_request([data])["inputs"])
    except PermanentError:
        return None


def _instance(data: Data) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return tensorflow.write_request([data])["instances"][0]
    except PermanentError:
        return to_wire(data)
