"""`disagreement-filter` (*ours*): passes on where two models name different top concepts.

Reads exactly two nodes, say `$output` and a model of one's own, and gives the second one's data as it is: the other
opinion, which tells a person what to look at. Where one side was emptied by an earlier node there is nothing to compare
and the input is filtered; a side that holds data but no concepts is a fault in the graph, and said to be one.
"""

from __future__ import annotations

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Operator, Params


class DisagreementFilter(Operator):
    input_count = 2

    def __init__(self, node: Node, params: Params) -> None:
        pass

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        if any(data.is_empty for data in inputs):
            return EMPTY
        tops = [data.top_concept() for data in inputs]
        if tops[0] is None or tops[1] is None:
            place = "first" if tops[0] is None else "second"
            raise PermanentError(f"cannot compare: the {place} of node_inputs holds no concepts")
        return inputs[1] if tops[0].id != tops[1].id else EMPTY
