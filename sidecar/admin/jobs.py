"""Jobs that wait or are dead, as people see them: all but their content. Dead letters are tried again or given up."""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies
from sidecar.admin.asking import DEFAULT_PER_PAGE, invalid, number_of, page_of, read_json
from sidecar.admin.envelope import plain
from sidecar.admin.events import say_changed
from sidecar.admin.parts import PARTS, Parts
from sidecar.data import Json
from sidecar.queue.states import State
from sidecar.queue.values import JobView
from sidecar.store.audit import Change

LISTED = {state.value: state for state in (State.QUEUED, State.LEASED, State.DEAD)}


async def list_all(request: web.Request) -> web.Response:
    """Newest first, with how each stands with each destination; `next_before` is what to give as `before` for the page
    after this one, null after the last."""
    size = page_of(request, DEFAULT_PER_PAGE).size
    state = request.query.get("state", "")
    if state and state not in LISTED:
        raise invalid("state", f"must be one of {', '.join(LISTED)}")
    found = await request.app[PARTS].jobs.list_jobs(
        [LISTED[state]] if state else [], request.query.get("collector") or None, number_of(request, "before"), size
    )
    following = found[-1].id if len(found) == size else None
    return plain({"jobs": [_to_json(job) for job in found], "next_before": following})


def _to_json(job: JobView) -> Json:
    return {**job._asdict(), "destinations": [each._asdict() for each in job.destinations]}


async def retry(request: web.Request) -> web.Response:
    """Queue dead letters again, as if new."""
    ids, parts = await _chosen(request), request.app[PARTS]
    count = await parts.jobs.retry_dead(ids)
    await _say(parts, "retried", ids, count)
    return plain({"retried": count})


async def discard(request: web.Request) -> web.Response:
    """Give dead letters up, as dropped{discarded}."""
    ids, parts = await _chosen(request), request.app[PARTS]
    count = await parts.jobs.discard_dead(ids)
    await _say(parts, "discarded", ids, count)
    return plain({"discarded": count})


async def _say(parts: Parts, verb: str, ids: list[int] | None, count: int) -> None:
    after = {"asked_for": "all" if ids is None else ids, "jobs": count}
    await say_changed(parts, Change(f"jobs.{verb}", str(count), after=after))


async def _chosen(request: web.Request) -> list[int] | None:
    """`{"ids": [1, 2]}` or `{"all": true}`; None stands for all."""
    body: Json = await read_json(request, bodies.ChooseJobs)
    ids = body.get("ids")
    if body.get("all") is True and ids is None:
        return None
    if "all" in body or not isinstance(ids, list) or not ids:
        raise invalid("ids", 'must be a list of ids of dead jobs; or give {"all": true} alone')
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**63 for each in ids):
        raise invalid("ids", "must hold whole numbers")
    return ids
