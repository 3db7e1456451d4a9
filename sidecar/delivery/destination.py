"""What every destination is: it takes parcels and gives an outcome for each.

Owns the interface, what a parcel tells of its exchange, and the id under which an input is posted. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import orjson

from sidecar.data import Data, from_wire
from sidecar.delivery.outcome import Outcome
from sidecar.kit.ids import TIME_BYTES, digest


class Details(NamedTuple):
    """What was known of an input's exchange when it was kept."""

    started_at: float
    """When the request's head was read, in seconds since the epoch."""
    latency_seconds: float
    """From the request's head to the end of the answer."""
    status: int
    """The answer's HTTP status; 0 when there was none."""
    sample_exchanges: float
    """The fraction of exchanges that the collector looked at, in (0, 1]."""
    sample_inputs: float
    """The fraction of their inputs that it sampled before any workflow, in (0, 1]."""
    headers: Mapping[str, str]
    """Trace ids and allow-listed headers, by lower-case name, redacted as the collector wants."""

    @property
    def sampling_rate(self) -> float:
        """The chance with which such an input was let through, its workflows aside: a count is divided by it."""
        return self.sample_exchanges * self.sample_inputs


class Way(NamedTuple):
    """How an input came to the try that is being made. Times are in seconds since the epoch."""

    job_id: int
    destination: str
    queued_at: float
    tried_at: float
    attempt: int
    siblings: int
    """How many other destinations the job has."""
    trace_wire: str
    """The JSON of what the post-queue workflow's nodes made of it; blank where it has none."""
    tries_wire: str
    """The tries before that failed, as the queue keeps them; blank where there is none."""


class Parcel(NamedTuple):
    """One input to post. `user_id` and `app_id` are its collector's; `created_at` is in seconds since the epoch."""

    input_id: str
    data: Data
    collector: str
    """The collector's key in the ledger."""
    caller: str
    model: str
    version: str
    user_id: str
    app_id: str
    dataset_ids: tuple[str, ...] = ()
    created_at: float = 0.0
    wire: bytes = b""
    """The JSON of `data.to_wire(data)` where it is at hand, else blank."""
    exchange_id: str = ""
    """32 hexadecimal digits."""
    input_index: int = 0
    given_wire: bytes = b"{}"
    """The JSON of the original input; `data` is what its collector posts of it."""
    output_wire: bytes | None = None
    """The JSON of the model's output for it, whether or not it is attached to `data`; None when it sent none."""
    details_wire: str = "{}"
    """The JSON that the queue keeps with the input."""
    way: Way | None = None
    """How it came to this try; None where nobody asks."""

    def given(self) -> Data:
        """The original input, read anew at each call."""
        return from_wire(orjson.loads(self.given_wire))

    def output(self) -> Data | None:
        """The model's output, read anew at each call."""
        return None if self.output_wire is None else from_wire(orjson.loads(self.output_wire))

    def details(self) -> Details:
        """What was known of the exchange, read anew at each call."""
        known = orjson.loads(self.details_wire)
        headers = orjson.loads(self.given_wire).get("metadata", {}).get("headers")
        sampled = known.get("pre_queue_random_sample")
        return Details(
            started_at=known.get("started_at", self.created_at),
            latency_seconds=known.get("latency_seconds", 0.0),
            status=known.get("status", 0),
            sample_exchanges=known.get("sample_exchanges", 1.0),
            sample_inputs=1.0 if sampled is None else sampled,
            headers=headers if isinstance(headers, dict) else {},
        )


class Destination(Protocol):
    """Where inputs are posted."""

    @property
    def max_batch(self) -> int:
        """How many parcels are worth handing over at once."""

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Post `parcels`: an outcome for each, in their order. Never raises for a fault of the far side."""

    async def close(self) -> None:
        """Let go of what this destination opened; safe twice."""


@runtime_checkable
class Resuming(Protocol):
    """A destination in which an earlier life of this process may have left work unfinished."""

    async def resume(self, collector: str) -> None:
        """Go on with what it left of `collector`, a key in the ledger; what fails is tried again with a delivery."""


def input_id_of(exchange_id: str, input_index: int, collector: str) -> str:
    """The id under which an input is posted: the same at every try, so that a repeat is told from a new input.

    32 hexadecimal digits, valid by the contract's pattern. They begin as the exchange's do, so that a destination's
    index grows at its end: see `kit.ids.OrderedIds`.
    """
    time = exchange_id[: 2 * TIME_BYTES]
    return time + digest(exchange_id, input_index, collector).hex()[len(time) :]
