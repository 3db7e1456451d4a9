"""`concept-thresholder`: keeps each concept that passes the comparison with its threshold, and nothing else.

Thresholds stand in `output_info.data.concepts`; concepts without one are dropped; id `*` (*ours*) is the threshold of
every concept that has none of its own. `require: all` (*ours*) drops the input unless every listed concept is there and
passes; with `*` listed, every concept there is must pass. Source: the Clarifai Collectors contract, "Workflows".
"""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable
from typing import Any, Literal

from pydantic import field_validator

from sidecar.collector import Node
from sidecar.data import Concept, Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Deciding, Operator, Params

ANY_CONCEPT = "*"
_FIELD = "model.output_info.data.concepts"


class ThresholdType(enum.IntEnum):
    """The contract's five comparisons."""

    GREATER_THAN = 1
    GREATER_THAN_OR_EQUAL = 2
    LESS_THAN = 3
    LESS_THAN_OR_EQUAL = 4
    EQUAL = 5


_COMPARISONS: dict[ThresholdType, Callable[[float, float], bool]] = {
    ThresholdType.GREATER_THAN: operator.gt,
    ThresholdType.GREATER_THAN_OR_EQUAL: operator.ge,
    ThresholdType.LESS_THAN: operator.lt,
    ThresholdType.LESS_THAN_OR_EQUAL: operator.le,
    ThresholdType.EQUAL: operator.eq,
}
_SIGNS: dict[ThresholdType, Literal["<", "<=", ">", ">="]] = {
    ThresholdType.GREATER_THAN: ">",
    ThresholdType.GREATER_THAN_OR_EQUAL: ">=",
    ThresholdType.LESS_THAN: "<",
    ThresholdType.LESS_THAN_OR_EQUAL: "<=",
}


class ConceptThresholderParams(Params):
    concept_threshold_type: ThresholdType
    """By name or number."""
    require: Literal["any", "all"] = "any"

    @field_validator("concept_threshold_type", mode="before")
    @classmethod
    def _by_name_or_number(cls, value: object) -> ThresholdType:
        for kind in ThresholdType:
            if value == kind.name or (value == kind.value and not isinstance(value, bool)):
                return kind
        raise ValueError(f"must be one of {', '.join(f'{kind.name} ({kind.value})' for kind in ThresholdType)}")


class ConceptThresholder(Operator):
    params_model = ConceptThresholderParams
    reads = frozenset(("concepts",))
    gives = frozenset(("concepts",))
    never_fails = True

    def __init__(self, node: Node, params: ConceptThresholderParams) -> None:
        thresholds = dict(node.model.concepts)
        if not thresholds:
            raise ConfigurationError(
                Problem("is missing: list the thresholds as {id, value}; * is any concept", _FIELD)
            )
        if len(thresholds) < len(node.model.concepts):
            raise ConfigurationError(Problem("a concept stands twice", _FIELD))
        self._passes = _COMPARISONS[params.concept_threshold_type]
        self._sign = _SIGNS.get(params.concept_threshold_type)
        self._all_must_pass = params.require == "all"
        self._any_concept = thresholds.pop(ANY_CONCEPT, None)
        self._thresholds = thresholds

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        concepts = inputs[0].concepts
        kept = self._kept(concepts)
        if not kept or (self._all_must_pass and not self._have_all_passed(concepts, kept)):
            return EMPTY
        return Data(concepts=tuple(kept))

    @property
    def deciding(self) -> Deciding | None:
        """Where one threshold decides: the value of its concept, or the largest or smallest of all."""
        if self._sign is None or len(self._thresholds) + (self._any_concept is not None) != 1:
            return None
        for name, threshold in self._thresholds.items():
            return Deciding(f"value of {name!r}", self._sign, threshold, functools.partial(_value_of, name))
        is_largest = (self._sign in (">", ">=")) is not self._all_must_pass
        pick: Callable[..., Any] = max if is_largest else min
        return Deciding(
            f"{'largest' if is_largest else 'smallest'} value of a concept",
            self._sign,
            self._any_concept or 0.0,
            lambda inputs: pick((concept.value for concept in inputs[0].concepts), default=None),
        )

    def _kept(self, concepts: tuple[Concept, ...]) -> list[Concept]:
        passes, thresholds, default = self._passes, self._thresholds, self._any_concept
        if not thresholds and default is not None:
            return [concept for concept in concepts if passes(concept.value, default)]
        limits = ((concept, thresholds.get(concept.id, default)) for concept in concepts)
        return [concept for concept, limit in limits if limit is not None and passes(concept.value, limit)]

    def _have_all_passed(self, concepts: tuple[Concept, ...], kept: list[Concept]) -> bool:
        if self._any_concept is not None and len(kept) < len(concepts):
            return False
        return not self._thresholds or self._thresholds.keys() <= {concept.id for concept in kept}


def _value_of(name: str, inputs: tuple[Data, ...]) -> float | None:
    return next((concept.value for concept in inputs[0].concepts if concept.id == name), None)
