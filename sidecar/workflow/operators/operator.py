"""What an operator is: a name in the registry, a frozen model of its parameters, and one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.validation import faults_of
from sidecar.workflow.item import Item

EMPTY = Data()
"""What an operator gives to drop its input. Never changed."""


class Params(BaseModel):
    """Parameters as people write them under `output_info.params`; an unknown one is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Operator(ABC):
    """One node's operator: made when the graph is compiled, called for every input, keeps no state between calls."""

    params_model: ClassVar[type[Params]] = Params
    input_count: ClassVar[int] = 1

    @abstractmethod
    def __init__(self, node: Node, params: Any) -> None:  # noqa: ANN401 - an instance of the class's own params_model
        """Raises ConfigurationError, its fields below `model`."""

    @abstractmethod
    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        """The node's output, `EMPTY` to drop. `inputs` are `input_count` many, at least one of them not empty."""


def build(kind: type[Operator], node: Node) -> Operator:
    """The operator of `node`. Raises ConfigurationError with every fault, its fields below `model`."""
    try:
        params = kind.params_model.model_validate(dict(node.model.params))
    except ValidationError as error:
        faults = faults_of(error, kind.params_model, "model.output_info.params")
        raise ConfigurationError([Problem(fault.message, fault.field) for fault in faults]) from error
    return kind(node, params)
