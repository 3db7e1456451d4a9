"""Leases: which jobs are taken next, and what becomes of those whose holder is gone. Statements, as in `statements`.

Costs follow the number of collectors and of jobs taken, never of those that wait: a backlog of a million jobs must not
slow down the lease of the next hundred.

A job that was leased when its engine died may be what killed it. Each such death makes a job weigh more, so that the
next lease with it is smaller, until it is a *suspect*: leased alone, and no other suspect while it is. So the innocent
are worked off, and the one that has taken `MOST_VOIDS` engines with it becomes a dead letter. Any settlement clears a
job of suspicion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, update

from sidecar.queue.statements import FREE, may
from sidecar.queue.states import Event, State, after
from sidecar.queue.values import Job
from sidecar.store.tables import JOB

MOST_VOIDS = 5
SUSPECT_VOIDS = 3
ENGINE_DIED = "engine_died"
_DETAIL = f"the engine died {MOST_VOIDS} times while it worked on this input, the last times on it alone"
_GROWTH = 8
"""How many times heavier each death of the engine makes a job: 512 jobs, 64, 8, then one."""


class Passed(NamedTuple):
    """Jobs that are passed over: those of collectors that are `busy`, and suspects if `suspects`."""

    busy: Collection[str] = ()
    suspects: bool = False


class Limit(NamedTuple):
    """What one lease may take: so many jobs, and so many bytes of their content."""

    jobs: int
    size_bytes: int
    passed: Passed


NONE = Passed()


class _Due(NamedTuple):
    """A job that may be leased."""

    retry_at: float
    id: int
    size_bytes: int
    voids: int


def void_others(connection: Connection, owner: str) -> tuple[int, Counter[str]]:
    """Take back the leases that are not `owner`'s, whose engine is gone: how many jobs are due again, and how many of
    each collector have become dead letters."""
    theirs = (may(Event.LEASE_VOID), JOB.c.leased_by != owner)
    deadly = (*theirs, JOB.c.voids >= MOST_VOIDS - 1)
    found = select(JOB.c.collector, func.count()).where(*deadly).group_by(JOB.c.collector)
    dead: Counter[str] = Counter({row[0]: row[1] for row in connection.execute(found)})
    if dead:
        state = after(State.LEASED, Event.REJECTED).value
        end = {"state": state, "reason": ENGINE_DIED, "detail": _DETAIL, "voids": MOST_VOIDS, **FREE}
        connection.execute(update(JOB).where(*deadly).values(end))
    values = {**_back(Event.LEASE_VOID.value), "voids": JOB.c.voids + 1}
    return connection.execute(update(JOB).where(*theirs).values(values)).rowcount, dead


def void_expired(connection: Connection, now: float) -> int:
    """Take back the leases that ran out by `now`."""
    return connection.execute(_VOID_EXPIRED, {"now": now}).rowcount


def release(connection: Connection, owner: str) -> int:
    """Give back what `owner` holds as it was: an engine that stops as asked has not died of it."""
    own = (may(Event.LEASE_VOID), JOB.c.leased_by == owner)
    return connection.execute(update(JOB).where(*own).values(_back())).rowcount


def _back(reason: str | None = None) -> dict[str, Any]:
    why = {} if reason is None else {"reason": reason}
    return {"state": after(State.LEASED, Event.LEASE_VOID).value, **why, **FREE}


_VOID_EXPIRED = (
    update(JOB)
    .where(may(Event.LEASE_VOID), JOB.c.leased_until <= bindparam("now"))
    .values(_back(Event.LEASE_VOID.value))
)
_LEASE = (
    update(JOB)
    .where(JOB.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=after(State.QUEUED, Event.LEASED).value,
        leased_by=bindparam("owner"),
        leased_until=bindparam("until"),
        attempts=JOB.c.attempts + 1,
    )
)
_LEASED = (
    select(*(JOB.c[name] for name in Job._fields))
    .where(JOB.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(JOB.c.retry_at, JOB.c.id)
)
_RUNS_OUT = select(func.min(JOB.c.leased_until)).where(may(Event.LEASE_VOID))
_TRUSTED = JOB.c.voids < SUSPECT_VOIDS


def lease(connection: Connection, owner: str, limit: Limit, now: float, until: float) -> list[Job]:
    """Lease due jobs within `limit`, at least one, those that have been due longest first."""
    void_expired(connection, now)
    due: list[_Due] = []
    for collector, first in _queued_collectors(connection, limit.passed):
        if first <= now:
            due += _due_of(connection, collector, now, limit)
    ids = _within(limit, sorted(due)[: limit.jobs])
    if not ids:
        return []
    connection.execute(_LEASE, {"ids": ids, "owner": owner, "until": until})
    return [Job._make(row) for row in connection.execute(_LEASED, {"ids": ids})]


def next_due(connection: Connection, passed: Passed = NONE) -> float | None:
    """When the next job that is not `passed` is due, or the next lease runs out, in seconds since the epoch; None when
    neither will."""
    times = [first for _, first in _queued_collectors(connection, passed)]
    runs_out = connection.execute(_RUNS_OUT).scalar_one()
    return min((*times, *([] if runs_out is None else [runs_out])), default=None)


def _queued_collectors(connection: Connection, passed: Passed) -> list[tuple[str, float]]:
    """Each collector with queued jobs, and when its first is due."""
    found = connection.execute(_COLLECTORS[passed.suspects])
    return [(row[0], row[1]) for row in found if row[1] is not None and row[0] not in passed.busy]


def _select_collectors(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Leaps from one collector to the next in the index."""
    is_queued = may(Event.LEASED)
    first = select(func.min(JOB.c.collector).label("collector")).where(is_queued).cte("queued", recursive=True)
    following = select(func.min(JOB.c.collector)).where(is_queued, JOB.c.collector > first.c.collector)
    each = first.union_all(select(following.scalar_subquery()).where(first.c.collector.is_not(None)))
    its_own = (is_queued, JOB.c.collector == each.c.collector, *conditions)
    earliest = select(func.min(JOB.c.retry_at)).where(*its_own).scalar_subquery()
    return select(each.c.collector, earliest).where(each.c.collector.is_not(None))


_COLLECTORS = {False: _select_collectors(), True: _select_collectors(_TRUSTED)}


def _due_of(connection: Connection, collector: str, now: float, limit: Limit) -> list[_Due]:
    values = {"collector": collector, "now": now, "limit": limit.jobs}
    return [_Due._make(row) for row in connection.execute(_DUE[limit.passed.suspects], values)]


def _select_due(*conditions: ColumnElement[bool]) -> Select[Any]:
    size = func.length(JOB.c.input) + _length(JOB.c.output) + _length(JOB.c.result)
    its_own = (JOB.c.collector == bindparam("collector"), JOB.c.retry_at <= bindparam("now"))
    return (
        select(JOB.c.retry_at, JOB.c.id, size, JOB.c.voids)
        .where(may(Event.LEASED), *its_own, *conditions)
        .order_by(JOB.c.retry_at, JOB.c.id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


def _length(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.length(column), 0)


_DUE = {False: _select_due(), True: _select_due(_TRUSTED)}


def _within(limit: Limit, due: Sequence[_Due]) -> list[int]:
    """The first ids that fit together by content and by weight, and the first in any case: else it would never be
    leased."""
    ids: list[int] = []
    size = weight = 0
    for job in due:
        size += job.size_bytes
        weight += limit.jobs if job.voids >= SUSPECT_VOIDS else _GROWTH**job.voids
        if ids and (size > limit.size_bytes or weight > limit.jobs):
            break
        ids.append(job.id)
    return ids
