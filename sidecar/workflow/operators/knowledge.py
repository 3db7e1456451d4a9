"""Knowledge graphs as people write them: in a node's parameters, or in a file of their own. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sidecar.collector import KnowledgeGraph, Predicate
from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.validation import faults_of


class KnowledgeGraphShape(BaseModel):
    """`relations: [[siamese, hyponym, cat]]` reads: a siamese is a kind of cat."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    relations: tuple[tuple[str, Predicate, str], ...]
    concepts: tuple[str, ...] = ()

    @field_validator("relations")
    @classmethod
    def _relate_two(cls, value: tuple[tuple[str, Predicate, str], ...]) -> tuple[tuple[str, Predicate, str], ...]:
        if not value:
            raise ValueError("must not be empty")
        if any(subject == other for subject, _, other in value):
            raise ValueError("holds a relation of a concept to itself")
        return value

    def read(self) -> KnowledgeGraph:
        return KnowledgeGraph(self.relations, self.concepts)


def read_knowledge_graph(written: object) -> KnowledgeGraph:
    """The graph that `written` describes. Raises ConfigurationError, its fields below `knowledge_graph`."""
    try:
        return KnowledgeGraphShape.model_validate(written).read()
    except ValidationError as error:
        faults = faults_of(error, KnowledgeGraphShape, "knowledge_graph")
        raise ConfigurationError([Problem(fault.message, fault.field) for fault in faults]) from error
