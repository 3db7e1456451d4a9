"""Parcels as the queue hands them over, complete with what they tell of their exchange."""

from __future__ import annotations

import orjson

from sidecar.data import Concept, Data, Text, to_wire
from sidecar.delivery.destination import Parcel
from sidecar.kit.ids import digest

STARTED_AT = 1_700_000_000.25
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def parcel(name: str, data: Data | None = None) -> Parcel:
    """An input of alice's call to digits; `name` decides its id."""
    given = data or Data(text=Text(f"text of {name}"), metadata={"headers": {"traceparent": TRACEPARENT}})
    output = Data(concepts=(Concept("cat", 0.75),))
    details = {"started_at": STARTED_AT, "latency_seconds": 0.0125, "status": 200, "sample_exchanges": 0.5}
    wire = orjson.dumps(to_wire(given))
    return Parcel(
        input_id=digest(name).hex(),
        data=given,
        collector="watch",
        caller="alice",
        model="digits",
        version="1",
        user_id="local",
        app_id="main",
        created_at=STARTED_AT + 1,
        wire=wire,
        exchange_id=digest("exchange", name).hex(),
        given_wire=wire,
        output_wire=orjson.dumps(to_wire(output)),
        details_wire=orjson.dumps(details | {"pre_queue_random_sample": 0.2}).decode(),
    )
