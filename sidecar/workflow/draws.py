"""Which samples decide a graph by themselves: where they leave an input out, nothing comes out whatever the others say.

Pure. A draw needs nothing but names, so it can be made before anything is read of the input or the output; most inputs
end there. What the other nodes would have done must not matter then, so each must be one that never fails.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sidecar.workflow.operators.operator import Operator
from sidecar.workflow.operators.random_sample import RandomSample


class Placed(Protocol):
    """A node in its place: its id, what it reads, and what it does."""

    @property
    def id(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def operator(self) -> Operator | None: ...


def draws_of(steps: Sequence[Placed], ends: Collection[str]) -> tuple[RandomSample, ...]:
    """The samples among `steps` that decide alone; `ends` are the steps whose outputs are the result."""
    return tuple(
        step.operator
        for step in steps
        if isinstance(step.operator, RandomSample) and _decides(step, steps, ends)
    )  # fmt: skip


def _decides(sample: Placed, steps: Sequence[Placed], ends: Collection[str]) -> bool:
    emptied = {sample.id}
    for step in steps:
        if emptied.issuperset(step.inputs):
            emptied.add(step.id)
    others = (step.operator for step in steps if step.id not in emptied)
    return emptied.issuperset(ends) and all(each is not None and each.never_fails for each in others)
