"""Jobs that wait or are dead, as people see them: all but their content. Dead letters are tried again or given up."""

from __future__ import annotations

from aiohttp import web

from sidecar.admin import bodies, queries
from sidecar.admin.asking import read_json
from sidecar.admin.envelope import plain
from sidecar.admin.events import say_changed
from sidecar.admin.job_query import Chosen, chosen_by, wanted_by
from sidecar.admin.parts import PARTS, Parts
from sidecar.admin.queries import query_of
from sidecar.data import Json
from sidecar.queue.states import Event
from sidecar.queue.values import JobView
from sidecar.store.audit import Change


async def list_all(request: web.Request) -> web.Response:
    """Newest first, with how each stands with each destination; `next_before` is what to give as `before` for the page
    after this one, null after the last."""
    asked = query_of(queries.Jobs)
    found = await request.app[PARTS].jobs.list_jobs(wanted_by(asked), asked.before, asked.per_page)
    following = found[-1].id if len(found) == asked.per_page else None
    return plain({"jobs": [_to_json(job) for job in found], "next_before": following})


def _to_json(job: JobView) -> Json:
    return {**job._asdict(), "destinations": [each._asdict() for each in job.destinations]}


async def retry(request: web.Request) -> web.Response:
    """Queue dead letters again, as if new: `{"ids": [1, 2]}`, a filter as the list takes it, or `{"all": true}`."""
    chosen, parts = await _chosen(request), request.app[PARTS]
    if chosen.is_dry:
        return plain({"would_retry": await parts.jobs.count_jobs(Event.RETRIED_BY_HAND, chosen.wanted)})
    count = await parts.jobs.retry_dead(chosen.wanted)
    await _say(parts, "retried", chosen, count)
    return plain({"retried": count})


async def discard(request: web.Request) -> web.Response:
    """Give dead letters up, as dropped{discarded}: chosen as for a retry, each for all its destinations."""
    chosen, parts = await _chosen(request), request.app[PARTS]
    if chosen.is_dry:
        return plain({"would_discard": await parts.jobs.count_jobs(Event.DISCARDED, chosen.wanted)})
    count = await parts.jobs.discard_dead(chosen.wanted)
    await _say(parts, "discarded", chosen, count)
    return plain({"discarded": count})


async def _say(parts: Parts, verb: str, chosen: Chosen, count: int) -> None:
    after = {"asked_for": chosen.asked_for, "jobs": count}
    await say_changed(parts, Change(f"jobs.{verb}", str(count), after=after))


async def _chosen(request: web.Request) -> Chosen:
    return chosen_by(await read_json(request, bodies.ChooseJobs))
