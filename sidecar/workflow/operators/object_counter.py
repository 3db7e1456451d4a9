"""`object-counter`: how many regions there are, as metadata `{"object_count": N}`.

Reads `regions` and gives `metadata`. N counts every region, whatever its concepts; data that has other fields and no
region counts 0, which is metadata too and therefore keeps the input: a `metadata-filter` on this node, with
`node.object_count` in its expression, decides by the number. Source: the Clarifai Collectors contract, "Workflows".
"""

from __future__ import annotations

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import Operator, Params


class ObjectCounter(Operator):
    reads = frozenset(("regions",))
    gives = frozenset(("metadata",))
    never_fails = True

    def __init__(self, node: Node, params: Params) -> None:
        pass

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        return Data(metadata={"object_count": len(inputs[0].regions)})
