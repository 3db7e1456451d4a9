"""What a workflow runs on: one input that a collector matched, with the model's output for it."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.data import Data


class Item(NamedTuple):
    """One input for one collector. `output` is None when the model gave none that can be read."""

    exchange_id: bytes
    input_index: int
    collector: str
    """The collector's key, as in the ledger."""
    input: Data
    output: Data | None
