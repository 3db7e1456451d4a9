"""`random-sample`: keeps a fraction of the inputs, drawn for each input of a batch on its own.

The draw is a hash of exchange, input index, collector and node: independent between any of them, yet the same whenever
it is made again.
"""

from __future__ import annotations

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.kit.ids import fraction
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params


class RandomSampleParams(Params):
    keep_fraction: float = Field(ge=0.0, le=1.0)
    """1 keeps all, 0 none."""


class RandomSample(Operator):
    params_model = RandomSampleParams
    never_fails = True

    def __init__(self, node: Node, params: RandomSampleParams) -> None:
        self.node = node.id
        self.keep_fraction = params.keep_fraction

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        return inputs[0] if self.keeps(item) else EMPTY

    def keeps(self, item: Item) -> bool:
        """What it decides: by the item's names alone, not by its data."""
        return self.keep_fraction > fraction(item.exchange_id, item.input_index, item.collector, self.node)
