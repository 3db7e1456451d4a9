"""Jobs that a reservoir holds back in the queue, and those that others displace there before anyone has tried them.

Statements on a connection, as in `statements`. A job of several destinations is displaced while all of its rows stand
untouched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, not_, select, update

from sidecar.memory import Change, input_of_name
from sidecar.queue import rows
from sidecar.queue.states import Event, State, after
from sidecar.store.tables import DELIVERY, JOB

PRE_QUEUE = "pre_queue"


def displace(connection: Connection, changes: Sequence[Change]) -> Counter[str]:
    """Hold back the jobs that `changes` hold, and end those that they displace as filtered; gives how many of each
    collector. Where a displaced one was leased already, its place is taken, and who came for it is filtered instead."""
    holding = [change for change in changes if change.holds]
    held = [{**_place_of(change, change.entry.name), "due": change.entry.at} for change in holding if not change.by]
    if held:
        connection.execute(_HOLD, held)
    ended: Counter[str] = Counter()
    for change in holding:
        for name in (change.entry.name, change.by) if change.by else ():
            if connection.execute(_DISPLACE, _place_of(change, name)).rowcount:
                ended[change.memory.place.collector] += 1
                break
    filtered = after(State.QUEUED, Event.DISPLACED).value
    rows.count(connection, {(collector, filtered, PRE_QUEUE): number for collector, number in ended.items()})
    return ended


def _place_of(change: Change, name: str) -> dict[str, Any]:
    exchange_id, input_index = input_of_name(name)
    return {"the_exchange": exchange_id, "the_index": input_index, "the_collector": change.memory.place.collector}


_NAMED = (
    JOB.c.exchange_id == bindparam("the_exchange"),
    JOB.c.input_index == bindparam("the_index"),
    JOB.c.collector == bindparam("the_collector"),
)


def _untouched() -> tuple[ColumnElement[bool], ...]:
    return (rows.may(Event.DISPLACED), DELIVERY.c.attempts == 0)


_HOLD = (
    update(DELIVERY)
    .where(
        DELIVERY.c.job_id == select(JOB.c.id).where(*_NAMED).scalar_subquery(),
        *_untouched(),
        DELIVERY.c.retry_at < bindparam("due"),
    )
    .values(retry_at=bindparam("due"), queued_at=bindparam("due"))
)
_TRIED = select(DELIVERY.c.job_id).where(DELIVERY.c.job_id == JOB.c.id, not_(_untouched()[0] & _untouched()[1]))
_DISPLACE = delete(JOB).where(*_NAMED, ~_TRIED.exists())
