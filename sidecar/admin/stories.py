"""Whole stories: of one job that waits or is dead, and of one input that came here by a collector.

Tells what was captured, so both routes need the scope that inputs need; media are told by their size, without their
content. What is told of nodes is what `workflow.trace` wrote.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from aiohttp import web

from sidecar.admin.envelope import plain
from sidecar.admin.inputs import found_in
from sidecar.admin.parts import PARTS
from sidecar.data import Json
from sidecar.errors import NotFoundError
from sidecar.queue import tries
from sidecar.queue.values import DeliveryStory, JobStory

_SAMPLING = ("sample_exchanges", "pre_queue_random_sample")
_EXCHANGE = ("started_at", "latency_seconds", "status")
_WITH_CONTENT = ("image", "video", "audio", "raw")
_MAX_DIGITS = 18
"""Of an id: what any database can be asked for."""


async def of_job(request: web.Request) -> web.Response:
    """One pending or dead job: its input and output, what each node made of it, and every try for each destination."""
    name = request.match_info["id"]
    is_id = name.isascii() and name.isdecimal() and len(name) <= _MAX_DIGITS
    found = await request.app[PARTS].jobs.find_job(int(name)) if is_id else None
    if found is None:
        raise NotFoundError(f"no job {name!r} waits or is dead: it was delivered, filtered or given up, or never was")
    return plain({"job": _show_job(found)})


async def of_input(request: web.Request) -> web.Response:
    """How an input came here: what each node made of it, every try, and what became of its collector's other
    destinations; null where no collector of this sidecar posted it."""
    stored = await found_in(request)
    if not stored.story:
        return plain({"story": None})
    kept = orjson.loads(stored.story)
    own = DeliveryStory(
        kept["destination"], "delivered", kept["queued_at"], 0.0, kept["attempt"], "", "", kept["delivered_at"],
        kept["tries"],
    )  # fmt: skip
    found: tuple[DeliveryStory, ...] = ()
    if kept["siblings"]:
        jobs = request.app[PARTS].jobs
        found = await jobs.find_destinations(kept["exchange_id"], kept["input_index"], stored.collector)
    others = [each for each in found if each.destination != own.destination]
    story = {
        "job_id": kept["job_id"],
        "exchange_id": kept["exchange_id"],
        "input_index": kept["input_index"],
        "collector": stored.collector,
        **_judged(kept["details"], kept["trace"]),
        "destinations": _show_destinations([own, *others]),
        "destinations_forgotten": max(kept["siblings"] - len(others), 0),
    }
    return plain({"story": story})


def _show_job(found: JobStory) -> Json:
    return {
        **found.view._asdict(),
        **_judged(orjson.loads(found.details), orjson.loads(found.trace) if found.trace else None),
        "destinations": _show_destinations(found.destinations),
        "input": _show_data(found.input),
        "output": _show_data(found.output),
        "workflow_output": _show_data(found.result),
    }


def _judged(details: Json, post_queue: Json | None) -> Json:
    """What is known of the exchange, which samples applied and what the workflows' nodes made of it."""
    return {
        "exchange": {name: details.get(name) for name in _EXCHANGE},
        "sampling": {name: details.get(name) for name in _SAMPLING},
        "pre_queue": details.get("trace"),
        "post_queue": post_queue,
    }


def _show_destinations(stories: Iterable[DeliveryStory]) -> list[Json]:
    return [_show_destination(each) for each in stories]


def _show_destination(story: DeliveryStory) -> Json:
    read = tries.read(story.tries)
    return {
        **story._asdict(),
        "tries": [each._asdict() for each in read.kept],
        "tries_left_out": read.left_out,
        "left_out_after": tries.FIRST,
    }


def _show_data(wire: bytes | None) -> Json | None:
    """The data as it is kept; a medium says how large it is instead of holding its content."""
    if wire is None:
        return None
    data: Json = orjson.loads(wire)
    for field in _WITH_CONTENT:
        if "base64" in data.get(field, {}):
            encoded = data[field].pop("base64")
            data[field]["content_bytes"] = len(encoded) * 3 // 4 - encoded[-2:].count("=")
    return data
