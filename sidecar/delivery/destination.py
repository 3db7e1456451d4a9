"""What every destination is: it takes parcels and gives an outcome for each.

Owns the interface and the id under which an input is posted. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sidecar.data import Data
from sidecar.delivery.outcome import Outcome
from sidecar.kit.ids import digest


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


class Destination(Protocol):
    """Where inputs are posted."""

    @property
    def max_batch(self) -> int:
        """How many parcels are worth handing over at once."""

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Post `parcels`: an outcome for each, in their order. Never raises for a fault of the far side."""

    async def close(self) -> None:
        """Let go of what this destination opened; safe twice."""


def input_id_of(exchange_id: str, input_index: int, collector: str) -> str:
    """The id under which an input is posted: the same at every try, so that a repeat is told from a new input.

    32 hexadecimal digits, valid by the contract's pattern.
    """
    return digest(exchange_id, input_index, collector).hex()
