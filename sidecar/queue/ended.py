"""What a job of several destinations came to with each: kept when it ends, for those who ask about one of its inputs.

A job of one destination leaves nothing here, and costs nothing: what is told of it stands with the input. Bounded:
what ended longest ago is forgotten. Statements on a connection, in the transaction that ends the jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, delete, select

from sidecar.queue import rows
from sidecar.queue.states import State
from sidecar.queue.values import DeliveryStory
from sidecar.store.insert import insert_new, take_ids
from sidecar.store.tables import DELIVERY, ENDED_JOB, JOB

MOST = 10_000
"""Jobs that are remembered."""
_NAME = ("exchange_id", "input_index", "collector")


def keep(connection: Connection, ids: Sequence[int], now: float, reasons: Mapping[int, str] | None = None) -> None:
    """Keep what these jobs came to, the newest where they are too many; to be called before their rows go. What has not
    ended with a destination is dropped there, for the job's reason in `reasons`."""
    ids = ids[-MOST:]
    made = []
    for start in range(0, len(ids), rows.IDS_AT_ONCE):
        made += _rows_of(connection, ids[start : start + rows.IDS_AT_ONCE], now, reasons or {})
    if made:
        taken = take_ids(connection, ENDED_JOB, len(made))
        insert_new(connection, ENDED_JOB, [{"id": number, **row} for number, row in zip(taken, made, strict=True)])
        connection.execute(_FORGET, {"last": taken[-1] - MOST})


def shared(connection: Connection, chosen: ColumnElement[bool]) -> list[int]:
    """The ids of the jobs of several destinations with a row that meets `chosen`, oldest first."""
    found = select(DELIVERY.c.job_id).where(DELIVERY.c.siblings > 0, chosen).distinct().order_by(DELIVERY.c.job_id)
    return list(connection.execute(found).scalars())


def find(connection: Connection, exchange_id: str, input_index: int, collector: str) -> tuple[DeliveryStory, ...]:
    """What the job came to with each destination; none where it had one only, is not over or is forgotten."""
    values = {"exchange_id": exchange_id, "input_index": input_index, "collector": collector}
    found = connection.execute(_FIND, values).scalar()
    return tuple(DeliveryStory(*each) for each in orjson.loads(found)) if found else ()


def _rows_of(
    connection: Connection, ids: Collection[int], now: float, reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    made: dict[int, dict[str, Any]] = {}
    stories: dict[int, list[DeliveryStory]] = {}
    for job_id, exchange_id, input_index, collector, *row in connection.execute(_STANDING, {"ids": list(ids)}):
        made[job_id] = {"exchange_id": exchange_id, "input_index": input_index, "collector": collector}
        stories.setdefault(job_id, []).append(_as_ended(DeliveryStory(*row), now, reasons.get(job_id, "")))
    return [{**row, "ended_at": now, "destinations": _write(stories[job_id])} for job_id, row in made.items()]


def _as_ended(story: DeliveryStory, now: float, reason: str) -> DeliveryStory:
    if State(story.state).is_ended:
        return story
    return story._replace(state=State.DROPPED.value, reason=reason or story.reason, settled_at=now)


def _write(stories: Sequence[DeliveryStory]) -> str:
    return orjson.dumps([tuple(story) for story in stories]).decode()


_STANDING = (
    select(JOB.c.id, *(JOB.c[name] for name in _NAME), *(DELIVERY.c[name] for name in DeliveryStory._fields))
    .join_from(DELIVERY, JOB, DELIVERY.c.job_id == JOB.c.id)
    .where(DELIVERY.c.job_id.in_(bindparam("ids", expanding=True)), DELIVERY.c.siblings > 0)
    .order_by(DELIVERY.c.job_id, DELIVERY.c.destination)
)
_FORGET = delete(ENDED_JOB).where(ENDED_JOB.c.id <= bindparam("last"))
_FIND = (
    select(ENDED_JOB.c.destinations)
    .where(*(ENDED_JOB.c[name] == bindparam(name) for name in _NAME))
    .order_by(ENDED_JOB.c.id.desc())
    .limit(1)
)
