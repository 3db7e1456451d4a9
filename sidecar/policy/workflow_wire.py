"""Workflows: what people write, in a file or through the API, to the frozen values and back.

Judges the shape only; whether a graph can run is found out where graphs are compiled. The contract's files name a
node's model by `model_id`, its API by `id`; both read, `model_id` is written.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from sidecar.collector import DEFAULT_APP, DEFAULT_USER, ManagedBy, Node, NodeModel, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.shapes import NodeModelShape, NodeShape, WorkflowShape
from sidecar.policy.wire import Json, owner_of, read_shape


def read_workflow(
    obj: object,
    user_id: str = DEFAULT_USER,
    app_id: str = DEFAULT_APP,
    file: str = "",
    *,
    where: str = "workflow",
    created_at: str = "",
) -> Workflow:
    """The workflow that `obj` describes. Raises ConfigurationError with every fault, its field path below `where`."""
    shape = read_shape(WorkflowShape, obj, where, file)
    fields = {"user_id": shape.user_id, "app_id": shape.app_id}
    problems = owner_of(fields, user_id, app_id, file, where)
    if shape.id is None:
        problems.append(Problem("is missing", field=f"{where}.id"))
    if not shape.nodes:
        problems.append(Problem("a workflow needs at least one node", field=f"{where}.nodes"))
    for index, node in enumerate(shape.nodes or ()):
        problems += _problems_of_model(node.model, f"{where}.nodes[{index}].model")
    if problems:
        raise ConfigurationError([dataclasses.replace(problem, file=file) for problem in problems])
    return Workflow(
        id=shape.id or "",
        nodes=tuple(map(_node, shape.nodes or ())),
        user_id=shape.user_id or user_id,
        app_id=shape.app_id or app_id,
        description=shape.description or "",
        created_at=created_at,
        managed_by=ManagedBy.FILE if file else ManagedBy.API,
        origin=file,
    )


def patch_workflow(old: Workflow, supplied: object, *, where: str = "workflow") -> Workflow:
    """`old` with only the supplied fields replaced, its nodes as a whole. Raises ConfigurationError."""
    shape = read_shape(WorkflowShape, supplied, where, old.origin)
    kept = write_workflow(old) | {name: value for name in shape.model_fields_set if (value := getattr(shape, name))}
    if "nodes" in shape.model_fields_set:
        kept["nodes"] = [] if shape.nodes is None else [node.model_dump(exclude_unset=True) for node in shape.nodes]
    if "description" in shape.model_fields_set:
        kept["description"] = shape.description or ""
    return read_workflow(kept, old.user_id, old.app_id, where=where, created_at=old.created_at)


def write_workflow(workflow: Workflow) -> Json:
    """`workflow` in the contract's shape, plus `managed_by` and `origin`; blank fields are left out."""
    wire = {
        "id": workflow.id,
        "description": workflow.description,
        "created_at": workflow.created_at,
        "nodes": [_write_node(node) for node in workflow.nodes],
        "managed_by": str(workflow.managed_by),
        "origin": workflow.origin,
    }
    return {name: value for name, value in wire.items() if value}


def _problems_of_model(model: NodeModelShape, where: str) -> list[Problem]:
    problems = []
    if not (model.model_id or model.id or model.model_type_id):
        problems.append(Problem("is missing: name a model, or an operator by model_type_id", field=f"{where}.model_id"))
    if model.id and model.model_id and model.id != model.model_id:
        problems.append(Problem("differs from model_id; write one of them", field=f"{where}.id"))
    beside = [name for name in ("model_type_id", "description", "output_info") if getattr(model, name) is not None]
    if _version_of(model) and beside:
        message = f"must not stand beside {' and '.join(beside)}: a version is fixed already"
        problems.append(Problem(message, field=f"{where}.model_version_id"))
    return problems


def _version_of(model: NodeModelShape) -> str:
    return model.model_version_id or (model.model_version and model.model_version.id) or ""


def _node(shape: NodeShape) -> Node:
    model = shape.model
    info = model.output_info
    concepts = (info and info.data and info.data.concepts) or ()
    return Node(
        id=shape.id,
        model=NodeModel(
            model_id=model.model_id or model.id or "",
            type_id=model.model_type_id or "",
            version_id=_version_of(model),
            user_id=model.user_id or "",
            app_id=model.app_id or "",
            params=(info and info.params) or {},
            concepts=tuple((concept.id, 1.0 if concept.value is None else concept.value) for concept in concepts),
        ),
        inputs=tuple(each.node_id for each in shape.node_inputs or ()),
        suppress_output=bool(shape.suppress_output),
    )


def _write_node(node: Node) -> Json:
    wire: Json = {"id": node.id, "model": _write_model(node.model)}
    if node.inputs:
        wire["node_inputs"] = [{"node_id": name} for name in node.inputs]
    if node.suppress_output:
        wire["suppress_output"] = True
    return wire


def _write_model(model: NodeModel) -> Json:
    info: dict[str, Any] = {}
    if model.params:
        info["params"] = dict(model.params)
    if model.concepts:
        info["data"] = {"concepts": [{"id": name, "value": value} for name, value in model.concepts]}
    wire = {
        "model_id": model.model_id,
        "model_type_id": model.type_id,
        "model_version_id": model.version_id,
        "user_id": model.user_id,
        "app_id": model.app_id,
        "output_info": info,
    }
    return {name: value for name, value in wire.items() if value}
