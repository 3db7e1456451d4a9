"""Back-tests and recordings: what a draft of a collector would keep, and a bounded sample of what passes.

A back-test is bounded in exchanges and in time and runs in slices on the engine's loop, so that deliveries wait no
longer for it than for anything else. Nothing of it is stored or posted, and no model is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

import orjson
from aiohttp import web
from sqlalchemy import Connection

from sidecar.admin import bodies
from sidecar.admin.asking import Owner, invalid, owner_of, read_json
from sidecar.admin.envelope import plain
from sidecar.admin.events import say_changed
from sidecar.admin.parts import PARTS, Parts
from sidecar.backtest.comparison import Comparison
from sidecar.backtest.drafts import Draft
from sidecar.backtest.recorder import MOST_BYTES, MOST_EXCHANGES, MOST_SECONDS, Wish
from sidecar.backtest.report import report
from sidecar.backtest.sources import SOURCES, Page
from sidecar.collector import Collector, RedactRule, Workflow
from sidecar.data import Json
from sidecar.memory import Memories
from sidecar.policy.wire import read_collector
from sidecar.policy.workflow_wire import read_workflow
from sidecar.records.exchanges import write_exchange
from sidecar.records.recorded import Recorded
from sidecar.store.audit import Change

DEFAULT_EXCHANGES = 1000
LONGEST_SECONDS = 10.0
"""How long a back-test may take; what it has seen until then is answered."""
TURN_SECONDS = 0.005
_USUAL = Wish()
RECENT = "recent"
"""The source that is the recording."""


async def backtest(request: web.Request) -> web.Response:
    """What the draft in `collector`, with the drafts in `workflows`, would have kept of `source`."""
    body = await read_json(request, bodies.PostBacktest)
    parts, owner = request.app[PARTS], owner_of(request, body)
    source = body.get("source", RECENT)
    if source != RECENT and source not in SOURCES:
        raise invalid("source", f"must be one of {', '.join((RECENT, *SOURCES))}")
    limit = _whole(body, "limit", DEFAULT_EXCHANGES, MOST_EXCHANGES)
    draft = _draft(parts, owner, body)
    against = body.get("against")
    other = None
    if against is not None:
        if not isinstance(against, str):
            raise invalid("against", "must be the id of a collector")
        other = _with_operators(parts, parts.catalog.get_collector(*owner, against), ()).trial()
    comparison = Comparison(draft.trial(), other)
    async with contextlib.aclosing(_exchanges(parts, source, limit)) as exchanges:
        is_whole, left_out = await _run(comparison, exchanges)
    found = report(comparison, (), 0) | {"source": source, "is_whole": is_whole, "left_out": left_out}
    return plain(found)


async def _run(comparison: Comparison, exchanges: AsyncIterator[Recorded | None]) -> tuple[bool, int]:
    """False when time was up before the end; and how many exchanges could not be redacted."""
    now = asyncio.get_running_loop().time
    ends, turn_ends, left_out = now() + LONGEST_SECONDS, now() + TURN_SECONDS, 0
    async for recorded in exchanges:
        if recorded is None:
            left_out += 1
        else:
            comparison.take(recorded)
        if now() > turn_ends:
            if now() > ends:
                return False, left_out
            await asyncio.sleep(0)
            turn_ends = now() + TURN_SECONDS
    return True, left_out


async def _exchanges(parts: Parts, source: str, limit: int) -> AsyncGenerator[Recorded | None, None]:
    if source == RECENT:
        for each in parts.recorder.exchanges(limit):
            yield each
        return
    _, read = SOURCES[source]
    after = 0
    while limit > 0:
        page, after = await parts.database.read(functools.partial(_page, read, after))
        if not page:
            return
        for each in page[:limit]:
            yield each
        limit -= len(page)


def _page(read: Callable[[Connection, int], Page], after: int, connection: Connection) -> Page:
    return read(connection, after)


def _draft(parts: Parts, owner: Owner, body: Json) -> Draft:
    wires = body.get("workflows", [])
    if not isinstance(wires, list):
        raise invalid("workflows", "must be a list")
    collector = read_collector(body.get("collector"), *owner, where="collector")
    workflows = [read_workflow(wire, *owner, where=f"workflows[{index}]") for index, wire in enumerate(wires)]
    return _with_operators(parts, collector, workflows)


def _with_operators(parts: Parts, collector: Collector, drafts: Sequence[Workflow]) -> Draft:
    """With the drafts before the workflows that there are, and memories that are empty."""
    known = {(each.user_id, each.app_id, each.id): each for each in parts.catalog.snapshot.workflows.values()}
    known |= {(each.user_id, each.app_id, each.id): each for each in drafts}
    ground = dataclasses.replace(parts.operators.ground, memories=Memories())
    servers = (*parts.settings.models, *parts.catalog.models)
    return Draft(collector, tuple(known.values()), servers, dataclasses.replace(parts.operators, ground=ground))


async def start(request: web.Request) -> web.Response:
    """Begin a recording."""
    body = await read_json(request, bodies.PostRecord)
    texts = {name: _text(body, name) for name in ("model", "version", "caller")}
    recorder = request.app[PARTS].recorder
    wish = Wish(
        **texts,
        sample_exchanges=_number(body, "sample_exchanges", _USUAL.sample_exchanges, 1.0),
        count=_whole(body, "count", _USUAL.count, MOST_EXCHANGES),
        size_bytes=_whole(body, "size_bytes", _USUAL.size_bytes, MOST_BYTES),
        seconds=_number(body, "seconds", _USUAL.seconds, MOST_SECONDS),
        redact=_rules(body, request.app[PARTS]),
    )
    recorder.start(wish)
    status = recorder.status()
    await say_changed(request.app[PARTS], Change("recording.started", wish.model, after=status))
    return plain(status)


async def status(request: web.Request) -> web.Response:
    return plain(request.app[PARTS].recorder.status())


async def stop(request: web.Request) -> web.Response:
    """End the recording and let go of what it has."""
    recorder = request.app[PARTS].recorder
    before = recorder.status()
    recorder.stop()
    if "model" in before:
        await say_changed(request.app[PARTS], Change("recording.stopped", before["model"], before=before))
    return plain({"recording": False})


async def download(request: web.Request) -> web.StreamResponse:
    """What the recording has, as our JSONL, redacted."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
    await response.prepare(request)
    turn_ends = 0.0
    for recorded in request.app[PARTS].recorder.exchanges():
        if recorded is not None:
            with contextlib.suppress(orjson.JSONEncodeError):  # no line can say it
                await response.write(write_exchange(recorded))
        if asyncio.get_running_loop().time() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = asyncio.get_running_loop().time() + TURN_SECONDS
    await response.write_eof()
    return response


def _rules(body: Json, parts: Parts) -> tuple[RedactRule, ...]:
    """Read as those of a collector. Raises ConfigurationError."""
    wire = {"id": "record", "source": {"model": "any"}, "pre_queue_random_sample": 1.0, "redact": body.get("redact")}
    rules = read_collector(wire, where="record").redact
    parts.operators.detectors.check(rules)
    return rules


def _text(body: Json, name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise invalid(name, "must be text")
    return value


def _whole(body: Json, name: str, default: int, most: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise invalid(name, f"must be a whole number from 1 to {most}")
    return value


def _number(body: Json, name: str, default: float, most: float) -> float:
    value = body.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (math.isfinite(value) and 0 < value <= most):
        raise invalid(name, f"must be a number above 0 and at most {most:g}")
    return float(value)
