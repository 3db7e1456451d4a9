"""`class-quota` (*ours*): passes at most `n` inputs of each concept in each window: a balanced set.

An input is of the concept with the largest value; data without concepts is a fault. Windows (`minute`, `hour`, `day`)
stand by the clock in UTC, and the exchange's start says in which one an input is; with `window: ever` there is only
one. Of the first inputs of a window that reach it, no better ones are looked for. Counts survive a restart; 10,000
pairs of window and concept are told apart, then the one that passed longest ago starts anew.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.memory import Entry, Memory
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Params
from sidecar.workflow.operators.remembering import REMEMBERED, Remembering, Window, concept_of, window_start


class ClassQuotaParams(Params):
    n: int = Field(ge=1)
    window: Window | Literal["ever"] = "day"


class ClassQuota(Remembering):
    params_model = ClassQuotaParams
    reads = frozenset(("concepts",))

    def __init__(self, node: Node, params: ClassQuotaParams) -> None:
        self.node = node.id
        self._params = params

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        window = self._params.window
        start = 0.0 if window == "ever" else window_start(item.started_at, window)
        name = self.memories.name_of(window, int(start), concept_of(inputs[0]))
        memory = self.memory_of(item, Memory)
        known = memory.get(name)
        if known is not None and known.times >= self._params.n:
            return EMPTY
        item.remember(memory.put(Entry(name, start), REMEMBERED))
        return inputs[0]
