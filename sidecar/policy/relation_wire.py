"""Concept relations: what people send, to the values and back, in the shape of the vendor's client.

The subject stands in the path; a relation may repeat it. What else that client knows of a concept is passed over: here
a concept is its id.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import BeforeValidator

from sidecar.collector import Predicate
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.relations import Relation
from sidecar.policy.shapes import NotBlank, Shape
from sidecar.policy.wire import Json, read_shape

MAX_CONCEPT_LENGTH = 256


class RelatedConceptShape(Shape):
    id: NotBlank
    name: Any = None
    value: Any = None
    created_at: Any = None
    language: Any = None
    app_id: Any = None
    user_id: Any = None
    definition: Any = None
    vocab_id: Any = None
    visibility: Any = None


class RelationShape(Shape):
    object_concept: RelatedConceptShape
    predicate: Annotated[Predicate, BeforeValidator(Predicate.named)]
    subject_concept: RelatedConceptShape | None = None
    knowledge_graph_id: str = ""
    id: Any = None
    visibility: Any = None


def read_relation(obj: object, subject: str, where: str = "concept_relation") -> Relation:
    """The relation of the concept `subject` that `obj` describes. Raises ConfigurationError with every fault."""
    shape = read_shape(RelationShape, obj, where, "")
    other = shape.object_concept.id
    problems = []
    if other == subject:
        problems.append(Problem("is the subject itself", "object_concept.id"))
    if max(len(other), len(subject)) > MAX_CONCEPT_LENGTH:
        problems.append(Problem(f"a concept's id has at most {MAX_CONCEPT_LENGTH} characters", "object_concept.id"))
    if shape.subject_concept is not None and shape.subject_concept.id != subject:
        problems.append(Problem("is not the one in the path", "subject_concept.id"))
    if shape.knowledge_graph_id:
        message = "must be blank, the app's own graph: any other is a file in graphs/ of the policies folder"
        problems.append(Problem(message, "knowledge_graph_id"))
    if problems:
        raise ConfigurationError([dataclasses.replace(each, field=f"{where}.{each.field}") for each in problems])
    return Relation(subject, shape.predicate, other)


def write_relation(relation: Relation) -> Json:
    """`relation` as the vendor answers it."""
    return {
        "id": relation.id,
        "subject_concept": _concept(relation.subject),
        "object_concept": _concept(relation.other),
        "predicate": relation.predicate.value,
        "knowledge_graph_id": "",
    }


def _concept(name: str) -> Json:
    return {"id": name, "name": name, "value": 1.0}
