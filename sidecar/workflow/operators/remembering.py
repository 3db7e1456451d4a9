"""What operators that remember have in common: where it stands, whose turn it is counted as, and in which window.

Each decides in one call, by the exchange's start and by what its collector's node has remembered, and puts what it
decided into that memory at once: of two inputs the second sees the first's. What a change becomes is the pipeline's:
written with the input's verdict, or given back when the input is dropped (see `memory`). An input that passes here
counts, also where a later node filters it: such a node stands last, unless that is meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.memory import Memories, Memory, Place
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import Ground, Operator

M = TypeVar("M", bound=Memory)
REMEMBERED = 10_000
"""Callers, concepts or windows that one node tells apart; beyond it the one that passed longest ago starts anew."""
Per = Literal["all", "caller", "concept"]
"""Whose turn an input is counted as: everybody's, its caller's, or that of its concept with the largest value."""
Window = Literal["minute", "hour", "day"]
SECONDS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class Remembering(Operator):
    """An operator with a memory for each collector; a subclass sets `node` to its node's id, as all others do."""

    memories: Memories
    place: Place
    """Less the collector, which the item names."""

    @classmethod
    def on(cls, ground: Ground, node: Node, params: Any) -> Self:  # noqa: ANN401 - an instance of params_model
        operator = cls(node, params)
        operator.memories = ground.memories
        operator.place = Place("", ground.workflow, node.id, node.model.type_id)
        return operator

    def memory_of(self, item: Item, kind: type[M]) -> M:
        """What this node remembers for the item's collector; always of the same kind."""
        return self.memories.of(self.place._replace(collector=item.collector), kind)

    def name_of(self, per: Per, data: Data, item: Item) -> str:
        """The name of whoever `item` is counted for. Raises PermanentError where nobody can tell."""
        if per == "all":
            return ""
        who = concept_of(data) if per == "concept" else str(item.input.metadata.get("caller", ""))
        return self.memories.name_of(per, who)


def concept_of(data: Data) -> str:
    """The id of the concept with the largest value. Raises PermanentError where there are no concepts."""
    top = data.top_concept()
    if top is None:
        raise PermanentError("cannot count per concept: there are no concepts")
    return top.id


def window_start(at: float, window: Window) -> float:
    """When the window began that `at` is in, both in seconds since the epoch: windows stand by the clock, in UTC."""
    length = SECONDS[window]
    return math.floor(at / length) * float(length)
