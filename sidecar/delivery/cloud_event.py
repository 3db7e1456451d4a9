"""A parcel as a CloudEvent 1.0: its attributes, its data, and its bytes in the SDK's HTTP modes. Pure.

    id               the input id                     source    /collectors/<collector>, unless the options name one
    type             sidecar.input, likewise          subject   <model>/<version>
    time             when the exchange started        datacontenttype  application/json
    collector, caller, model, modelversion            texts; blank ones are left out
    exchangeid, inputindex                            the exchange, and which of its inputs this is
    httpstatus       the answer's; 0: there was none  latencyms  a text, as CloudEvents has no fractions
    samplingrate     a text in (0, 1]                 sampledrate  1 / that, rounded: the Sampled Rate extension
    traceparent, tracestate                           the Distributed Tracing extension, where the caller sent it
    data             {"input": what the collector posts, "output": the model's, when there is one}

Both in the shape of the data model, as `GET /v2/inputs` shows it. Needs the extra `cloudevents`: whoever imports this
does so late.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar.data import to_wire
from sidecar.delivery.destination import Details, Parcel
from sidecar.kit.json import dumps

TYPE = "sidecar.input"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class _Written(JSONFormat):
    """The SDK's format, for data that is JSON already: it is not parsed to be written again."""

    def write(self, event: BaseCloudEvent) -> bytes:
        data = event.get_data()
        if not isinstance(data, bytes):
            return super().write(event)
        return dumps(event.get_attributes() | {"data": orjson.Fragment(data)}, option=orjson.OPT_UTC_Z)


_FORMAT = _Written()


def to_event(parcel: Parcel, source: str = "", kind: str = "", *, has_output: bool = True) -> CloudEvent:
    """The event of a parcel. Raises TypeError for data that JSON cannot say."""
    details = parcel.details()
    attributes = {
        "id": parcel.input_id,
        "source": source or source_of(parcel),
        "type": kind or TYPE,
        "time": datetime.fromtimestamp(details.started_at, UTC),
        "datacontenttype": "application/json",
        **extensions_of(parcel, details),
    }
    return CloudEvent(attributes, _data_of(parcel, has_output=has_output))


def source_of(parcel: Parcel) -> str:
    return f"/collectors/{quote(parcel.collector)}"


def extensions_of(parcel: Parcel, details: Details) -> dict[str, Any]:
    """What every event tells of its exchange, without what is blank."""
    traceparent = details.headers.get("traceparent", "")
    is_traced = _TRACEPARENT.fullmatch(traceparent) is not None
    told = {
        "subject": "/".join(part for part in (parcel.model, parcel.version) if part),
        "collector": parcel.collector,
        "caller": parcel.caller,
        "model": parcel.model,
        "modelversion": parcel.version,
        "exchangeid": parcel.exchange_id,
        "inputindex": parcel.input_index,
        "httpstatus": details.status,
        "latencyms": f"{details.latency_seconds * 1000:.3f}",
        "samplingrate": f"{details.sampling_rate:.6g}",
        "sampledrate": round(1 / details.sampling_rate),
        "traceparent": traceparent if is_traced else "",
        "tracestate": details.headers.get("tracestate", "") if is_traced else "",
    }
    return {name: value for name, value in told.items() if value != ""}


def _data_of(parcel: Parcel, *, has_output: bool) -> bytes:
    posted = parcel.wire or dumps(to_wire(parcel.data))
    if parcel.output_wire is None or not has_output:
        return b'{"input":' + posted + b"}"
    return b'{"input":' + posted + b',"output":' + parcel.output_wire + b"}"


def binary(event: CloudEvent) -> HTTPMessage:
    """The attributes as headers, the data as body."""
    return to_binary(event, _FORMAT)


def structured(event: CloudEvent) -> HTTPMessage:
    """Everything as one JSON object."""
    return to_structured(event, _FORMAT)
