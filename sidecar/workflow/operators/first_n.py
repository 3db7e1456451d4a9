"""`first-n` (*ours*): passes the first `n` inputs that reach it, and no other ever after.

`per: caller` and `per: concept` count for each caller, or for each concept that is the one with the largest value, by
itself: 10,000 of them, then the one that passed longest ago starts anew. Data without concepts is then a fault. The
count survives a restart; it begins anew with another collector, workflow or node id.
"""

from __future__ import annotations

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.memory import Entry, Memory
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Params
from sidecar.workflow.operators.remembering import REMEMBERED, Per, Remembering


class FirstNParams(Params):
    n: int = Field(ge=1)
    per: Per = "all"


class FirstN(Remembering):
    params_model = FirstNParams

    def __init__(self, node: Node, params: FirstNParams) -> None:
        self.node = node.id
        self._params = params

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        name = self.name_of(self._params.per, inputs[0], item)
        memory = self.memory_of(item, Memory)
        known = memory.get(name)
        if known is not None and known.times >= self._params.n:
            return EMPTY
        item.remember(memory.put(Entry(name, item.started_at), REMEMBERED))
        return inputs[0]
