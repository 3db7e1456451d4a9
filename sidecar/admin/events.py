"""What was changed and what happened, newest first; and how the other calls say what they did."""

from __future__ import annotations

import re

import orjson
from aiohttp import web
from sqlalchemy import Connection

from sidecar.admin.asking import DEFAULT_PER_PAGE, invalid, number_of, page_of
from sidecar.admin.envelope import plain
from sidecar.admin.parts import PARTS, Parts
from sidecar.data import Json
from sidecar.kit.clock import rfc3339
from sidecar.store.audit import Change, Wanted, list_changes, who_acts, write_changes

_KIND = re.compile(r"[a-z_]+(\.[a-z_]+)?")


async def list_all(request: web.Request) -> web.Response:
    """`kind` (`collector` or `collector.changed`), `who` and `collector` narrow them; `next_before` is what to give as
    `before` for the page after this one, null after the last.
    """
    size, query = page_of(request, DEFAULT_PER_PAGE).size, request.query
    kind = query.get("kind", "")
    if kind and not _KIND.fullmatch(kind):
        raise invalid("kind", "must be as in collector or collector.changed")
    wanted = Wanted(kind, query.get("who", ""), query.get("collector", ""), number_of(request, "before"))
    events = await request.app[PARTS].database.read(lambda connection: _read(connection, wanted, size))
    return plain({"events": events, "next_before": events[-1]["id"] if len(events) == size else None})


def _read(connection: Connection, wanted: Wanted, size: int) -> list[Json]:
    return [
        {
            "id": row.id,
            "at": rfc3339(row.at),
            "kind": row.kind,
            "who": row.who,
            "subject": row.subject,
            "collector": row.collector,
            "before": orjson.loads(row.before),
            "after": orjson.loads(row.after),
        }
        for row in list_changes(connection, wanted, size)
    ]


async def say_changed(parts: Parts, change: Change) -> None:
    """For what is changed elsewhere than in the database's own transaction."""
    who, now = who_acts(), parts.clock.now()
    await parts.database.write(lambda connection: write_changes(connection, who, now, [change]))
    parts.events.changed(who, change.kind, change.subject)
