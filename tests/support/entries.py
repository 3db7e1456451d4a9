"""Kept inputs for tests of record files: as parcels are, read from their lines."""

from __future__ import annotations

from typing import Any

import orjson

from sidecar.data import Data, to_wire
from sidecar.kit.ids import digest
from sidecar.records.entries import Entry, Known, read_entries, write_entry

STARTED_AT = 1_700_000_000.25
HEADERS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "request-1"}
OF_ITS_EXCHANGE = {"headers": HEADERS, "status": 200}


KNOWN = Known(
    input_id="", exchange_id="", input_index=2, started_at=STARTED_AT, latency_seconds=0.0125, status=200,
    caller="alice", model="digits", version="1", collector="watch", sample_exchanges=0.5, sample_inputs=0.25,
    created_at=STARTED_AT + 1,
)  # fmt: skip


def entry(
    name: str,
    given: Data,
    output: Data | None = None,
    posted: Data | None = None,
    **more: Any,
) -> Entry:
    """An input of alice's call to digits; `name` decides its ids."""
    known = KNOWN._replace(input_id=digest(name).hex(), exchange_id=digest("exchange", name).hex(), **more)
    output_wire, posted_wire = (None if data is None else wire(data) for data in (output, posted))
    return read_entries(write_entry(known, wire(given), output_wire, posted_wire))[0]


def wire(data: Data) -> bytes:
    return orjson.dumps(to_wire(data))
