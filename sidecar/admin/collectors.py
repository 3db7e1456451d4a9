"""The five collector calls of the contract."""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies
from sidecar.admin.asking import ids_or_all, objects, owner_of, read_json
from sidecar.admin.envelope import answer
from sidecar.admin.parts import PARTS
from sidecar.admin.queries import Pages, query_of
from sidecar.admin.reach import refuse_reach
from sidecar.admin.tags import required, tagged
from sidecar.collector import Collector
from sidecar.data import Json
from sidecar.policy.wire import write_collector


def show(collector: Collector) -> Json:
    """A collector as it is answered: with its owner and its name in the ledger."""
    return write_collector(collector) | {"key": collector.key, "user_id": collector.user_id, "app_id": collector.app_id}


async def post(request: web.Request) -> web.Response:
    body = await read_json(request, bodies.PostCollectors)
    wires = objects(body, "collectors")
    refuse_reach(wires)
    made = await request.app[PARTS].catalog.add_collectors(wires, *owner_of(request, body))
    return answer(collectors=[show(each) for each in made])


async def patch(request: web.Request) -> web.Response:
    body = await read_json(request, bodies.PatchCollectors)
    wires = objects(body, "collectors")
    refuse_reach(wires)
    changed = await request.app[PARTS].catalog.patch_collectors(
        wires, *owner_of(request, body), require=required(request, show)
    )
    return answer(collectors=[show(each) for each in changed])


async def list_all(request: web.Request) -> web.Response:
    found = request.app[PARTS].catalog.list_collectors(*owner_of(request))
    return tagged(request, "collectors", [show(each) for each in found[query_of(Pages).slice]])


async def list_everywhere(request: web.Request) -> web.Response:
    """Every app's collectors (*ours*): what the ledger counts is not an app's alone."""
    found = request.app[PARTS].catalog.snapshot.collectors
    return tagged(request, "collectors", [show(each) for each in found])


async def get(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    return tagged(request, "collector", show(request.app[PARTS].catalog.get_collector(*owner_of(request), name)))


async def delete(request: web.Request) -> web.Response:
    """Delete collectors: what is pending for them goes too, their counts stay."""
    body = await read_json(request, bodies.Delete)
    parts, owner, require = request.app[PARTS], owner_of(request, body), required(request, show)
    for collector in await parts.catalog.delete_collectors(ids_or_all(body), *owner, require=require):
        await parts.jobs.drop_pending(collector.key)
    return answer()
