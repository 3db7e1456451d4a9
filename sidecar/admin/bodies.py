"""What requests' bodies hold, as pydantic models: the names that are read, and what `/openapi.json` says of them.

A policy in a list is judged by its own shape where it is read (`policy.shapes`), so that the faults of all come at
once; the same shape is what the description shows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SkipValidation

from sidecar.admin.queries import Moment, read_text
from sidecar.admin.scopes import Scope
from sidecar.policy.relation_wire import RelationShape
from sidecar.policy.shapes import CollectorShape, RedactShape, Shape, WorkflowShape

MAX_INPUTS = 128


def _some(value: object) -> object:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list with at least one element")
    return value


def _overwrite(value: object) -> object:
    if value not in (None, "", "overwrite"):
        raise ValueError("must be overwrite, or missing")
    return value


def _scopes(value: object) -> object:
    names = [scope.value for scope in Scope]
    if not isinstance(value, list) or not value or not all(each in names for each in value):
        raise ValueError(f"must be a list of at least one of {', '.join(names)}")
    return value


Some = BeforeValidator(_some)
Action = Annotated[Literal["", "overwrite"] | None, BeforeValidator(_overwrite)]
AnyCollector = Annotated[CollectorShape, SkipValidation]
AnyWorkflow = Annotated[WorkflowShape, SkipValidation]
AnyRelation = Annotated[RelationShape, SkipValidation]
Ids = Annotated[list[str], Field(min_length=1)]
Given = Annotated[str, Field(min_length=1), AfterValidator(read_text)]


class UserAppIdShape(Shape):
    user_id: str | None = None
    app_id: str | None = None


class Body(Shape):
    """Of any request: whose app, where the path does not say."""

    user_app_id: UserAppIdShape | None = None


class PostCollectors(Body):
    collectors: Annotated[list[AnyCollector], Some, Field(min_length=1)]


class PatchCollectors(PostCollectors):
    action: Action = None


class PostWorkflows(Body):
    workflows: Annotated[list[AnyWorkflow], Some, Field(min_length=1)]


class PatchWorkflows(PostWorkflows):
    action: Action = None


class Delete(Body):
    """Either some, or all."""

    ids: Ids | None = None
    delete_all: bool | None = None


class DeleteIds(Body):
    ids: Ids


class PostRelations(Body):
    concept_relations: Annotated[list[AnyRelation], Some, Field(min_length=1)]
    concept_id: str | None = None


class DeleteRelations(DeleteIds):
    concept_id: str | None = None


class InputShape(Shape):
    id: str | None = None
    data: dict[str, Any]
    dataset_ids: list[str] | None = None
    created_at: Any = None
    status: Any = None


class PostInputs(Body):
    inputs: Annotated[list[Annotated[InputShape, SkipValidation]], Field(min_length=1, max_length=MAX_INPUTS)]
    input_id_conflict_resolution: Annotated[Any, Field(description="SKIP, or missing")] = None
    inputs_add_job_id: Any = None


class ChooseJobs(Body):
    """Either some by id, or those that meet every other field that is given, or all."""

    ids: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] | None = None
    all: bool | None = None
    state: Annotated[Literal["dead"] | None, Field(description="no others are retried or discarded")] = None
    collector: Given | None = None
    destination: Given | None = None
    reason: Given | None = None
    since: Annotated[
        Moment | None, Field(description="when the job was made: RFC 3339, or seconds since the epoch")
    ] = None
    until: Moment | None = None
    dry_run: Annotated[bool | None, Field(strict=True, description="count, and change nothing")] = None


class PostKey(Body):
    name: str
    scopes: Annotated[list[Scope], BeforeValidator(_scopes), Field(min_length=1)]


class PostCheck(Body):
    collector: dict[str, Any] | None = None
    texts: dict[str, Any] | None = None
    workflows: list[str] | None = None


class PostBacktest(Body):
    collector: AnyCollector
    workflows: list[AnyWorkflow] | None = None
    source: str | None = None
    limit: int | None = None
    against: str | None = None


class PostRecord(Body):
    model: str | None = None
    version: str | None = None
    caller: str | None = None
    sample_exchanges: float | None = None
    count: int | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    redact: list[Annotated[RedactShape, SkipValidation]] | None = None
