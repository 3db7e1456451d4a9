"""`concept-synonym-mapper`: the input concepts become the concepts of a knowledge graph that they are related to.

Reads `concepts` and gives `concepts`. From each input concept one relation of the graph is followed: `synonym` in both
directions, and where `follow` says so `hypernym` to the more general concepts and `hyponym` to the more special ones
(a relation written the one way counts the other way too). What is found takes the value over; of several values for
one concept the largest wins; what leads nowhere is dropped, and nothing left drops the input. Further steps are further
nodes. A graph that names its own `concepts` (*ours*) maps to those alone, and an input concept that is one of them
stays one. The order is that of the input concepts, then that of the relations.

The graph stands in the node (`knowledge_graph`, *ours*) or is a file `graphs/<knowledge_graph_id>.yaml` in the policies
folder; without either it is the app's own graph, the relations that were made over the API, which may have none yet.
Source: the Clarifai Collectors contract, "Workflows"; for the meaning of the predicates the vendor's documentation of
concept relations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Self

from pydantic import Field, field_validator

from sidecar.collector import KnowledgeGraph, Node, Predicate
from sidecar.data import Concept, Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.workflow.item import Item
from sidecar.workflow.operators.knowledge import KnowledgeGraphShape
from sidecar.workflow.operators.operator import EMPTY, Ground, Operator, Params

_PARAMS = "model.output_info.params"
_NO_RELATIONS = KnowledgeGraph(())


class ConceptSynonymMapperParams(Params):
    knowledge_graph_id: str = ""
    knowledge_graph: KnowledgeGraphShape | None = None
    follow: list[Predicate] = Field(default=[Predicate.SYNONYM], min_length=1)

    @field_validator("follow", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return [Predicate.named(each) for each in value] if isinstance(value, list) else value


class ConceptSynonymMapper(Operator):
    params_model = ConceptSynonymMapperParams
    reads = frozenset(("concepts",))
    gives = frozenset(("concepts",))
    never_fails = True

    def __init__(self, node: Node, params: ConceptSynonymMapperParams, graph: KnowledgeGraph = _NO_RELATIONS) -> None:
        """`graph` is the one that the node names, unless it stands in the node."""
        if params.knowledge_graph is not None:
            graph = params.knowledge_graph.read()
        self._related = _related(graph, params.follow)

    @classmethod
    def on(cls, ground: Ground, node: Node, params: ConceptSynonymMapperParams) -> Self:
        name = params.knowledge_graph_id
        if not name:
            return cls(node, params, ground.app_graphs.get(ground.app, _NO_RELATIONS))
        where = f"{_PARAMS}.knowledge_graph_id"
        if params.knowledge_graph is not None:
            raise ConfigurationError(Problem("must not stand beside knowledge_graph: which of the two?", where))
        if name not in ground.knowledge_graphs:
            known = ", ".join(sorted(ground.knowledge_graphs)) or "none"
            message = f"there is no graph {name!r} among graphs/*.yaml of the policies folder; known: {known}"
            raise ConfigurationError(Problem(message, where))
        return cls(node, params, ground.knowledge_graphs[name])

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        values: dict[str, float] = {}
        for concept in inputs[0].concepts:
            for name in self._related.get(concept.id, ()):
                values[name] = max(concept.value, values.get(name, concept.value))
        return Data(concepts=tuple([Concept(name, value) for name, value in values.items()])) if values else EMPTY


def _related(graph: KnowledgeGraph, follow: Collection[Predicate]) -> Mapping[str, tuple[str, ...]]:
    """Each concept with those it is mapped to."""
    own = frozenset(graph.concepts)
    found: dict[str, dict[str, None]] = {name: {name: None} for name in graph.concepts}
    for start, predicate, end in _steps(graph):
        if predicate in follow and (not own or end in own):
            found.setdefault(start, {})[end] = None
    return {start: tuple(ends) for start, ends in found.items()}


def _steps(graph: KnowledgeGraph) -> Iterator[tuple[str, Predicate, str]]:
    """Every relation in both directions, as (from, what the end is to it, to)."""
    for subject, predicate, other in graph.relations:
        yield other, predicate, subject
        yield subject, predicate.reversed, other
