"""The workflow calls, in the contract's manner. One that a collector names is changed only to what can run, and never
deleted."""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies
from sidecar.admin.asking import ids_or_all, objects, owner_of, read_json
from sidecar.admin.envelope import answer
from sidecar.admin.parts import PARTS
from sidecar.admin.queries import Pages, query_of
from sidecar.admin.tags import required, tagged
from sidecar.collector import Workflow
from sidecar.data import Json
from sidecar.policy.workflow_wire import write_workflow


def show(workflow: Workflow) -> Json:
    """A workflow as it is answered: a node's model has its id under both of the contract's names."""
    wire = write_workflow(workflow)
    for node in wire["nodes"]:
        node["model"]["id"] = node["model"].get("model_id", "")
    return wire


async def post(request: web.Request) -> web.Response:
    body = await read_json(request, bodies.PostWorkflows)
    made = await request.app[PARTS].catalog.add_workflows(objects(body, "workflows"), *owner_of(request, body))
    return answer(workflows=[show(each) for each in made])


async def patch(request: web.Request) -> web.Response:
    body = await read_json(request, bodies.PatchWorkflows)
    changed = await request.app[PARTS].catalog.patch_workflows(
        objects(body, "workflows"), *owner_of(request, body), require=required(request, show)
    )
    return answer(workflows=[show(each) for each in changed])


async def delete(request: web.Request) -> web.Response:
    """Delete one by the path, or several by the body."""
    body = await read_json(request, bodies.Delete)
    name = request.match_info.get("id")
    ids = ids_or_all(body) if name is None else [name]
    owner, require = owner_of(request, body), required(request, show)
    await request.app[PARTS].catalog.delete_workflows(ids, *owner, require=require)
    return answer()


async def list_all(request: web.Request) -> web.Response:
    found = request.app[PARTS].catalog.list_workflows(*owner_of(request))
    return tagged(request, "workflows", [show(each) for each in found[query_of(Pages).slice]])


async def get(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    return tagged(request, "workflow", show(request.app[PARTS].catalog.get_workflow(*owner_of(request), name)))
