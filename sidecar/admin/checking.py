"""What is wrong with a draft, before it is saved: the same judgement as of a policy file, with the line of each fault.

Changes nothing, and repeats nothing of a key that is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from sidecar.admin import bodies
from sidecar.admin.asking import Owner, invalid, owner_of, read_json
from sidecar.admin.envelope import plain
from sidecar.admin.parts import PARTS, Parts
from sidecar.admin.workflows import show
from sidecar.collector import Workflow
from sidecar.data import Json
from sidecar.delivery.registry import check_options
from sidecar.errors import ConfigurationError, Problem
from sidecar.pipeline.models import check_after_queue, check_workflow
from sidecar.policy.checks import Judges, problems_of_collector, problems_of_workflow
from sidecar.policy.marks import line_in, read_marked
from sidecar.policy.wire import read_collector
from sidecar.policy.workflow_wire import read_workflow


async def check(request: web.Request) -> web.Response:
    """Judge `collector`, some of whose fields may be given as YAML in `texts`, and `workflows`, each YAML or JSON text.

    Answers every problem as `{in, field, line, message}`, where `in` is `collector`, `texts.<field>` or
    `workflows[n]`; what the texts say, as JSON; and each workflow as it would be stored, null where it cannot be.
    """
    body = await read_json(request, bodies.PostCheck)
    parts, owner = request.app[PARTS], owner_of(request, body)
    problems: list[Json] = []
    workflows = [
        _workflow(text, f"workflows[{index}]", parts, owner, problems)
        for index, text in enumerate(_list(body, "workflows"))
    ]
    values = {name: _value(text, f"texts.{name}", problems) for name, text in _object(body, "texts").items()}
    if "collector" in body:
        drafts = [each for each in workflows if each]
        problems += _of_collector(_object(body, "collector") | values, parts, owner, drafts)
    return plain({"problems": problems, "values": values, "workflows": [each and show(each) for each in workflows]})


def _list(body: Json, name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid(name, "must be a list of texts")
    return value


def _object(body: Json, name: str) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise invalid(name, "must be an object")
    return value


def _value(text: object, where: str, problems: list[Json]) -> Any:  # noqa: ANN401 - any YAML
    try:
        return read_marked(str(text), "")[0]
    except ConfigurationError as error:
        problems += [_told(each, where, {}) for each in error.problems]
        return None


def _workflow(text: str, where: str, parts: Parts, owner: Owner, problems: list[Json]) -> Workflow | None:
    """The workflow that `text` describes, under `workflow:` or as it is."""
    lines: Mapping[str, int] = {}
    try:
        document, lines = read_marked(text, "")
        if isinstance(document, dict) and "workflow" in document:
            lines = {field.removeprefix("workflow").lstrip("."): line for field, line in lines.items()}
            document = document["workflow"] if len(document) == 1 else document
        workflow = read_workflow(document, *owner, where="workflow")
    except ConfigurationError as error:
        problems += [_told(each, where, lines) for each in error.problems]
        return None
    found = problems_of_workflow(workflow, _judges(parts))
    problems += [_told(each, where, lines) for each in found]
    return None if found else workflow


def _of_collector(wire: Json, parts: Parts, owner: Owner, drafts: list[Workflow]) -> list[Json]:
    known = dict(parts.catalog.snapshot.workflows) | {(each.user_id, each.app_id, each.id): each for each in drafts}
    try:
        collector = read_collector(wire, *owner)
    except ConfigurationError as error:
        return [_told(each, "collector", {}) for each in error.problems]
    return [_told(each, "collector", {}) for each in problems_of_collector(collector, known, _judges(parts))]


def _judges(parts: Parts) -> Judges:
    servers = (*parts.settings.models, *parts.catalog.models)
    return Judges(
        lambda workflow: check_workflow(workflow, servers, parts.operators),
        check_options,
        partial(check_after_queue, operators=parts.operators),
        parts.operators.detectors.check,
    )


def _told(problem: Problem, where: str, lines: Mapping[str, int]) -> Json:
    """`problem` as it is answered; its line is that of its field, or of the nearest field around it."""
    field = problem.field.partition(".")[2] if problem.field.startswith(("collector", "workflow")) else problem.field
    line = problem.line or (line_in(lines, field) if lines else 0)
    return {"in": where, "field": field, "line": line, "message": problem.message}
