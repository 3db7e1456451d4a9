"""Concepts as a probability distribution, for the operators that measure one. Pure.

A model's values do not always sum to 1: scores of independent labels, a list cut to the best few. They are made shares
of their sum. One concept alone is a yes-or-no answer: what it lacks to 1 is the share of `OTHER`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.data import Data
from sidecar.errors import PermanentError

OTHER = ""
"""The id of a lone concept's other answer; no concept has it."""
Shares = Mapping[str, float]
_MOST = 1.0 + 1e-6
"""A probability of 1 as a model's 32-bit floats may write it."""


def shares_of(data: Data, where: str = "the input") -> Shares:
    """Each concept's share, in [0, 1], together 1; at least two. Values that are all 0 are equal shares.

    Raises PermanentError where there are no concepts, or their values are no probabilities.
    """
    concepts = data.concepts
    if not concepts:
        raise PermanentError(f"cannot measure: {where} holds no concepts")
    if not all(0.0 <= concept.value <= _MOST for concept in concepts):
        raise PermanentError(f"cannot measure: {where} holds a concept whose value is not in [0, 1]")
    if len(concepts) == 1:
        share = min(concepts[0].value, 1.0)
        return {concepts[0].id: share, OTHER: 1.0 - share}
    shares = {concept.id: concept.value for concept in concepts}
    if len(shares) < len(concepts):
        raise PermanentError(f"cannot measure: a concept stands twice in {where}")
    total = sum(shares.values())
    if total <= 0.0:
        return dict.fromkeys(shares, 1.0 / len(shares))
    return {name: value / total for name, value in shares.items()}
