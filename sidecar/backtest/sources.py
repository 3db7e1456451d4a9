"""Where exchanges to try come from besides record files: the jobs in the queue, the inputs in the embedded app, and
messages as they are on the wire.

The database is only read, beside an engine that may be writing it. A job has what was stored of its input: redacted
where its collector redacts. The app has what was posted: the model's output where the collector had `collect_outputs`,
and no exchange id, so samples are drawn anew, and an input that several collectors posted there counts for each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, select

from sidecar.capture.arrival import Arrival, ArrivalReader, decode_arrival
from sidecar.data import from_wire
from sidecar.exchange import Exchange
from sidecar.frame import HAS_RESPONSE, PREFIX, RESPONSE_IS_WHOLE, exchange_frames
from sidecar.kit.ids import digest
from sidecar.protocol.call import Call
from sidecar.records.recorded import Recorded
from sidecar.store.inputs import StoredInput, get_input
from sidecar.store.tables import INPUT, JOB

AT_ONCE = 500
MODEL_OUTPUT = "model_output"
"""Under this name of the metadata `posted_data` keeps the model's output."""


def recorded_of(arrival: Arrival, call: Call, sample_exchanges: float = 1.0) -> Recorded:
    """An exchange in the engine as a record has it; `sample_exchanges` is the rate at which it was let in."""
    return Recorded(
        arrival.id, arrival.started_at, arrival.latency_seconds, arrival.asked.caller, call,
        sample_exchanges=sample_exchanges,
    )  # fmt: skip


def decoded(exchange: Exchange, arrivals: ArrivalReader) -> Recorded | None:
    """A recorded exchange on the wire, as the engine would read it; None when it is no predict call."""
    request, response = exchange.request, exchange.response
    pieces = (*request, *(response or (b"", b"")))
    flags = (HAS_RESPONSE if response else 0) + (RESPONSE_IS_WHOLE if exchange.response_is_whole else 0)
    a, b, c, d = map(len, pieces)
    record = (exchange.id, 0.0, exchange.latency_seconds, flags, a, b, c, d, pieces)
    arrival = arrivals.read(b"".join(exchange_frames([record], exchange.started_at))[PREFIX.size :])
    return None if arrival is None else recorded_of(arrival, decode_arrival(arrival))


Page = tuple[list[Recorded], int]
"""Some exchanges, and where to go on; none at the end."""


def read_jobs(connection: Connection, after: int = 0, most: int = AT_ONCE) -> Page:
    """The next jobs, pending and dead, from the id `after`; of an input that several collectors kept the first one."""
    other = JOB.alias()
    same = (other.c.exchange_id == JOB.c.exchange_id, other.c.input_index == JOB.c.input_index)
    earlier = select(other.c.id).where(*same, other.c.id < JOB.c.id).exists()
    statement = select(JOB).where(JOB.c.id > after, ~earlier).order_by(JOB.c.id).limit(most)
    rows = list(connection.execute(statement))
    likeliest = _likeliest(connection, {row.exchange_id for row in rows})
    found = [recorded_job(row, likeliest[row.exchange_id, row.input_index]) for row in rows]
    return found, rows[-1].id if rows else after


def _likeliest(connection: Connection, exchange_ids: Collection[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Of each input what is known by the job that was the likeliest to be there: what it stands for follows from it."""
    columns = (JOB.c.exchange_id, JOB.c.input_index, JOB.c.details)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for exchange_id, input_index, written in connection.execute(
        select(*columns).where(JOB.c.exchange_id.in_(exchange_ids)).order_by(JOB.c.id)
    ):
        details = orjson.loads(written)
        known = found.setdefault((exchange_id, input_index), details)
        if _chance(details) > _chance(known):
            found[exchange_id, input_index] = details
    return found


def _chance(details: Mapping[str, Any]) -> float:
    return _sample_exchanges(details) * _sample_inputs(details)


def _sample_exchanges(details: Mapping[str, Any]) -> float:
    return float(details.get("sample_exchanges", 1.0))


def _sample_inputs(details: Mapping[str, Any]) -> float:
    share = details.get("pre_queue_random_sample")
    return 1.0 if share is None else float(share)


def recorded_job(row: Row[Any], details: Mapping[str, Any]) -> Recorded:
    """A row of `JOB`; `details` are what was known when the input was kept."""
    given = from_wire(orjson.loads(row.input))
    output = None if row.output is None else from_wire(orjson.loads(row.output))
    call = Call("", row.model, row.version, "", "", (given,), (output,))
    return Recorded(
        bytes.fromhex(row.exchange_id),
        float(details.get("started_at", row.created_at)),
        float(details.get("latency_seconds", 0.0)),
        row.caller,
        call,
        first_index=row.input_index,
        collector=row.collector,
        sample_exchanges=_sample_exchanges(details),
        sample_inputs=_sample_inputs(details),
    )


def read_inputs(connection: Connection, after: int = 0, most: int = AT_ONCE) -> Page:
    """The next inputs of the embedded app, oldest first, from the offset `after`."""
    names = (INPUT.c.user_id, INPUT.c.app_id, INPUT.c.id)
    statement = select(*names).order_by(INPUT.c.created_at, *names).offset(after).limit(most)
    rows = list(connection.execute(statement))
    found = [stored for row in rows if (stored := get_input(connection, *row)) is not None]
    return [recorded_input(stored) for stored in found], after + len(rows)


def recorded_input(stored: StoredInput) -> Recorded:
    """An input of the app, with the model's output where it was posted with it."""
    output = stored.data.metadata.get(MODEL_OUTPUT)
    outputs = (None if output is None else from_wire(output),)
    call = Call("", stored.model, stored.version, "", "", (stored.data,), outputs)
    name = digest("input", stored.user_id, stored.app_id, stored.id)
    return Recorded(name, stored.created_at, 0.0, stored.caller, call, collector=stored.collector, input_id=stored.id)


SOURCES: Mapping[str, tuple[Table, Callable[[Connection, int], Page]]] = {
    "queue": (JOB, read_jobs),
    "app": (INPUT, read_inputs),
}
"""By name: the table, and how its exchanges are read from some place on."""
