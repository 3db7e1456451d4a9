"""What every format is read into: an exchange as it was decoded, and the rates that had let it into the record."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.errors import PermanentError
from sidecar.protocol.call import Call


class RecordError(PermanentError):
    """A line or a file that is no record of its format; the message says why, never what stood there."""


class Recorded(NamedTuple):
    """One exchange, or those of its inputs that were recorded."""

    id: bytes
    """16 bytes: the exchange's own where the format has it, so that samples are drawn as they were; else made from what
    the format has in its place, the same each time it is read."""
    started_at: float
    """Seconds since the epoch; 0 where it is not known."""
    latency_seconds: float
    caller: str
    call: Call
    """Its `model` is blank where the format names none."""
    first_index: int = 0
    """The index in the exchange of the first input here."""
    collector: str = ""
    """The key of the collector that kept it; blank where exchanges were recorded whatever a policy says."""
    sample_exchanges: float = 1.0
    """The fraction of exchanges, drawn from their ids, that could get into the record, in (0, 1]."""
    sample_inputs: float = 1.0
    """The fraction of their inputs, drawn for `collector`, in (0, 1]."""
    input_id: str = ""
    """Under which its only input stands in the app that it comes from; blank where it comes from none."""
