"""What can flow along a graph's edges, and which node could never read what it is given.

Only what is certain is a fault: `$input`, `$output` and a model's answer can hold any field, an operator's output those
that the operator names, or the ones that it passes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sidecar.collector import Node
from sidecar.errors import Problem
from sidecar.workflow.operators.operator import ANYTHING, Fields, Operator

Kinds = Mapping[str, type[Operator]]


def fields_held(nodes: Sequence[Node], kinds: Kinds) -> dict[str, Fields]:
    """The fields that each node's output can hold, by its id."""
    held: dict[str, Fields] = {}
    for node in nodes:
        kind = kinds.get(node.model.type_id)
        given = [held.get(name, ANYTHING) for name in node.inputs] or [ANYTHING]
        held[node.id] = ANYTHING if kind is None else kind.gives or frozenset().union(*given)
    return held


def problems_of_flow(node: Node, kinds: Kinds, held: Mapping[str, Fields]) -> Iterator[Problem]:
    """The inputs of `node` that can hold nothing of what it reads."""
    kind = kinds.get(node.model.type_id)
    if kind is None:
        return
    for index, name in enumerate(node.inputs):
        given = held.get(name, ANYTHING)
        if kind.reads.isdisjoint(given):
            message = f"{node.model.type_id} reads {_list(kind.reads)}, but all that {name!r} gives is {_list(given)}"
            yield Problem(message, f"node_inputs[{index}].node_id")


def _list(fields: Fields) -> str:
    return " or ".join(sorted(fields))
