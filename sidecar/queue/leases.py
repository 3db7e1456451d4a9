"""Leases: which jobs are taken next, and what becomes of those whose holder is gone. Statements, as in `statements`.

Costs follow the number of lanes (a collector's rows for one destination) and of jobs taken, never of those that wait: a
backlog of a million jobs must not slow down the lease of the next hundred. No lease writes a job's bodies.

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

from sidecar.queue import rows
from sidecar.queue.rows import FREE, may
from sidecar.queue.states import Event, State, after
from sidecar.queue.values import Job, Lane
from sidecar.store.tables import DELIVERY, JOB

MOST_VOIDS = 5
SUSPECT_VOIDS = 3
ENGINE_DIED = "engine_died"
_DETAIL = f"the engine died {MOST_VOIDS} times while it worked on this input, the last times on it alone"
_GROWTH = 8
"""How many times heavier each death of the engine makes a job: 512 jobs, 64, 8, then one."""


class Passed(NamedTuple):
    """Jobs that are passed over: those of lanes that are `busy`, and suspects if `suspects`."""

    busy: Collection[Lane] = ()
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
    destination: str
    size_bytes: int
    voids: int


def void_others(connection: Connection, owner: str) -> tuple[int, Counter[str]]:
    """Take back the leases that are not `owner`'s, whose engine is gone: how many rows are due again, and how many jobs
    of each collector have become dead letters."""
    theirs = (may(Event.LEASE_VOID), DELIVERY.c.leased_by != owner)
    deadly = (*theirs, DELIVERY.c.voids >= MOST_VOIDS - 1)
    dying = connection.execute(select(DELIVERY.c.job_id).where(*deadly)).scalars().all()
    if dying:
        state = after(State.LEASED, Event.REJECTED).value
        end = {"state": state, "reason": ENGINE_DIED, "detail": _DETAIL, "voids": MOST_VOIDS, **FREE}
        connection.execute(update(DELIVERY).where(*deadly).values(end))
    values = {**_back(Event.LEASE_VOID.value), "voids": DELIVERY.c.voids + 1}
    voided = connection.execute(update(DELIVERY).where(*theirs).values(values)).rowcount
    ends = rows.standing_of_jobs(connection, dying).values() if dying else ()
    return voided, Counter(each.collector for each in ends if each.state is State.DEAD)


def void_expired(connection: Connection, now: float) -> int:
    """Take back the leases that ran out by `now`."""
    return connection.execute(_VOID_EXPIRED, {"now": now}).rowcount


def release(connection: Connection, owner: str) -> int:
    """Give back what `owner` holds as it was: an engine that stops as asked has not died of it."""
    own = (may(Event.LEASE_VOID), DELIVERY.c.leased_by == owner)
    return connection.execute(update(DELIVERY).where(*own).values(_back())).rowcount


def _back(reason: str | None = None) -> dict[str, Any]:
    why = {} if reason is None else {"reason": reason}
    return {"state": after(State.LEASED, Event.LEASE_VOID).value, **why, **FREE}


_VOID_EXPIRED = (
    update(DELIVERY)
    .where(may(Event.LEASE_VOID), DELIVERY.c.leased_until <= bindparam("now"))
    .values(_back(Event.LEASE_VOID.value))
)
_NAMED = (
    DELIVERY.c.job_id.in_(bindparam("ids", expanding=True)),
    DELIVERY.c.destination == bindparam("the_destination"),
)
_LEASE = (
    update(DELIVERY)
    .where(*_NAMED)
    .values(
        state=after(State.QUEUED, Event.LEASED).value,
        leased_by=bindparam("owner"),
        leased_until=bindparam("until"),
        attempts=DELIVERY.c.attempts + 1,
    )
)
_OF_ROW = ("queued_at", "attempts", "reason", "leased_until", "voids", "destination", "siblings", "tries")
_LEASED = select(*((DELIVERY if name in _OF_ROW else JOB).c[name] for name in Job._fields)).join_from(
    DELIVERY, JOB, DELIVERY.c.job_id == JOB.c.id
).where(*_NAMED)  # fmt: skip
_RUNS_OUT = select(func.min(DELIVERY.c.leased_until)).where(may(Event.LEASE_VOID))
_TRUSTED = DELIVERY.c.voids < SUSPECT_VOIDS


def lease(connection: Connection, owner: str, limit: Limit, now: float, until: float) -> list[Job]:
    """Lease due jobs within `limit`, at least one, those that have been due longest first."""
    void_expired(connection, now)
    due: list[_Due] = []
    for lane, first in _queued_lanes(connection, limit.passed):
        if first <= now:
            due += _due_of(connection, lane, now, limit)
    taken = _within(limit, sorted(due)[: limit.jobs])
    jobs: dict[tuple[int, str], Job] = {}
    for destination, ids in _by_destination(taken).items():
        named = {"ids": ids, "the_destination": destination}
        connection.execute(_LEASE, {**named, "owner": owner, "until": until})
        leased = map(Job._make, connection.execute(_LEASED, named))
        jobs |= {(job.id, destination): job for job in leased}
    return [jobs[each.id, each.destination] for each in taken]


def _by_destination(taken: Sequence[_Due]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for each in taken:
        groups.setdefault(each.destination, []).append(each.id)
    return groups


def next_due(connection: Connection, passed: Passed = NONE) -> float | None:
    """When the next job that is not `passed` is due, or the next lease runs out, in seconds since the epoch; None when
    neither will."""
    times = [first for _, first in _queued_lanes(connection, passed)]
    runs_out = connection.execute(_RUNS_OUT).scalar_one()
    return min((*times, *([] if runs_out is None else [runs_out])), default=None)


def _queued_lanes(connection: Connection, passed: Passed) -> list[tuple[Lane, float]]:
    """Each lane with queued jobs, and when its first is due."""
    found = [(Lane(row[0], row[1]), row[2]) for row in connection.execute(_LANES[passed.suspects])]
    return [(lane, first) for lane, first in found if first is not None and lane not in passed.busy]


def _select_lanes(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Leaps from one collector to the next in the index, and in each from one destination to the next."""
    is_queued, collector, destination = may(Event.LEASED), DELIVERY.c.collector, DELIVERY.c.destination
    first = select(func.min(collector).label("collector")).where(is_queued).cte("queued", recursive=True)
    following = select(func.min(collector)).where(is_queued, collector > first.c.collector)
    each = first.union_all(select(following.scalar_subquery()).where(first.c.collector.is_not(None)))
    nearest = select(func.min(destination)).where(is_queued, collector == each.c.collector)
    start = select(each.c.collector, nearest.scalar_subquery().label("destination"))
    begun = start.where(each.c.collector.is_not(None)).cte("lanes", recursive=True)
    further = select(func.min(destination)).where(
        is_queued, collector == begun.c.collector, destination > begun.c.destination
    )
    lanes = begun.union_all(
        select(begun.c.collector, further.scalar_subquery()).where(begun.c.destination.is_not(None))
    )
    its_own = (is_queued, collector == lanes.c.collector, destination == lanes.c.destination, *conditions)
    earliest = select(func.min(DELIVERY.c.retry_at)).where(*its_own).scalar_subquery()
    return select(lanes.c.collector, lanes.c.destination, earliest).where(lanes.c.destination.is_not(None))


_LANES = {False: _select_lanes(), True: _select_lanes(_TRUSTED)}


def _due_of(connection: Connection, lane: Lane, now: float, limit: Limit) -> list[_Due]:
    values = {"collector": lane.collector, "the_destination": lane.destination, "now": now, "limit": limit.jobs}
    return [_Due._make(row) for row in connection.execute(_DUE[limit.passed.suspects], values)]


def _select_due(*conditions: ColumnElement[bool]) -> Select[Any]:
    size = func.length(JOB.c.input) + _length(JOB.c.output) + _length(JOB.c.result)
    its_own = (
        DELIVERY.c.collector == bindparam("collector"),
        DELIVERY.c.destination == bindparam("the_destination"),
        DELIVERY.c.retry_at <= bindparam("now"),
    )
    return (
        select(DELIVERY.c.retry_at, DELIVERY.c.job_id, DELIVERY.c.destination, size, DELIVERY.c.voids)
        .join_from(DELIVERY, JOB, DELIVERY.c.job_id == JOB.c.id)
        .where(may(Event.LEASED), *its_own, *conditions)
        .order_by(DELIVERY.c.retry_at, DELIVERY.c.job_id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True, of=DELIVERY)
    )


def _length(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.length(column), 0)


_DUE = {False: _select_due(), True: _select_due(_TRUSTED)}


def _within(limit: Limit, due: Sequence[_Due]) -> list[_Due]:
    """The first that fit together by content and by weight, and the first in any case: else it would never be
    leased."""
    taken: list[_Due] = []
    size = weight = 0
    for job in due:
        size += job.size_bytes
        weight += limit.jobs if job.voids >= SUSPECT_VOIDS else _GROWTH**job.voids
        if taken and (size > limit.size_bytes or weight > limit.jobs):
            break
        taken.append(job)
    return taken
