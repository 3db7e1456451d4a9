"""What was changed and what happened, newest first; and how the other calls say what they did."""

from __future__ import annotations

import orjson
from aiohttp import web
from sqlalchemy import Connection

from sidecar.admin import queries
from sidecar.admin.envelope import plain
from sidecar.admin.parts import PARTS, Parts
from sidecar.admin.queries import query_of
from sidecar.data import Json
from sidecar.kit.clock import rfc3339
from sidecar.store.audit import Change, Wanted, list_changes, who_acts, write_changes


async def list_all(request: web.Request) -> web.Response:
    """`kind` (`collector` or `collector.changed`), `who` and `collector` narrow them; `next_before` is what to give as
    `before` for the page after this one, null after the last.
    """
    asked = query_of(queries.Events)
    wanted, size = Wanted(asked.kind, asked.who, asked.collector, asked.before), asked.per_page
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
