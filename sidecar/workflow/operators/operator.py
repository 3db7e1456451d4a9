"""What an operator is: a name in the registry, a frozen model of its parameters, and one call.

Also the shape of operators that others write (entry points of the group `sidecar.operators`): a subclass of `Operator`
that says what it reads and gives. Whatever fails while one is made is a fault of the graph that names it.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.collector import KnowledgeGraph, Node
from sidecar.data import Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.validation import faults_of
from sidecar.memory import Memories
from sidecar.workflow.item import Item

EMPTY = Data()
"""What an operator gives to drop its input. Never changed."""


class Params(BaseModel):
    """Parameters as people write them under `output_info.params`; an unknown one is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Ground:
    """What operators may stand on besides their node: handed in, as none of them does I/O."""

    knowledge_graphs: Mapping[str, KnowledgeGraph] = field(default_factory=dict)
    """By id."""
    app_graphs: Mapping[tuple[str, str], KnowledgeGraph] = field(default_factory=dict)
    """Each app's own, by (user, app): as it is at the moment a graph is compiled."""
    app: tuple[str, str] = ("", "")
    """The (user, app) of the workflow that the node stands in."""
    memories: Memories = field(default_factory=Memories)
    """Where operators remember; whoever runs the graphs owns it."""
    workflow: str = ""
    """The id of the workflow that the node stands in."""


class Deciding(NamedTuple):
    """The one number, in [0, 1], by which an operator passes its input on or drops it: for histograms."""

    name: str
    """What it is, in a few words."""
    keeps: Literal["<", "<=", ">", ">="]
    """How a number that passes compares with the bound."""
    bound: float
    of: Callable[[tuple[Data, ...]], float | None]
    """The number of some inputs; None where they have none. May raise what the operator raises."""


Fields = frozenset[str]
ANYTHING: Fields = frozenset(Data.__annotations__)
"""Every field of the data model."""


class Operator(ABC):
    """One node's operator: made when the graph is compiled, called for every input, keeps nothing in itself between
    calls: what must be remembered stands in `Ground.memories`, see `remembering`."""

    params_model: ClassVar[type[Params]] = Params
    input_count: ClassVar[int] = 1
    reads: ClassVar[Fields] = ANYTHING
    """Fields it works on: a node that can hold none of them is no input for it. All of them: it takes any data."""
    gives: ClassVar[Fields] = frozenset()
    """Fields that its output can hold; none named: it passes on what it reads, as it is."""
    default_input: ClassVar[str] = ""
    """What a node without inputs reads, `$input` or `$output`; blank: what the workflow's place gives."""
    holds: ClassVar[bool] = False
    """True if it holds jobs back in the queue: it then stands before the queue, and once in a workflow."""
    keeps_content: bool = False
    """True if what it remembers is made from content: a collector's `redact` then comes before it."""
    never_fails: ClassVar[bool] = False
    """True if a call raises nothing and changes nothing: it may be left out where its output cannot matter."""

    @abstractmethod
    def __init__(self, node: Node, params: Any) -> None:  # noqa: ANN401 - an instance of the class's own params_model
        """Raises ConfigurationError, its fields below `model`."""

    @classmethod
    def on(cls, ground: Ground, node: Node, params: Any) -> Self:  # noqa: ANN401 - as above
        """The operator of `node`; for the few that need something of `ground`. Raises ConfigurationError."""
        return cls(node, params)

    @property
    def deciding(self) -> Deciding | None:
        """The number that decides; None where it is not one number."""
        return None

    @abstractmethod
    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        """The node's output, `EMPTY` to drop. `inputs` are `input_count` many, at least one of them not empty."""


def build(kind: type[Operator], node: Node, ground: Ground) -> Operator:
    """The operator of `node`. Raises ConfigurationError with every fault, its fields below `model`."""
    try:
        params = kind.params_model.model_validate(dict(node.model.params))
        return kind.on(ground, node, params)
    except ValidationError as error:
        faults = faults_of(error, kind.params_model, "model.output_info.params")
        raise ConfigurationError([Problem(fault.message, fault.field) for fault in faults]) from error
    except ConfigurationError:
        raise
    except Exception as error:  # a bug of an operator costs the graphs that name it, not the engine
        raise ConfigurationError(_bug(error, node)) from error


def _bug(error: Exception, node: Node) -> Problem:
    """The type and the place alone: a foreign error's text may repeat what stands in the parameters."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__} in {place.filename}:{place.lineno}"
    return Problem(f"{node.model.type_id} cannot be made: {said}", "model.model_type_id")
