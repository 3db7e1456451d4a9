"""The queue's statements: each a function on a connection, inside a transaction that `jobs` owns.

Every change of a row that ends or begins a job changes `tally` in the same call; that is what makes the ledger hold.
Which rows an event may touch is read from the transition table, never written here again.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from sidecar.queue.states import Event, State, after, states_before
from sidecar.queue.values import EVENT_OF, Counts, Job, JobView, NewJob, Settlement
from sidecar.store.insert import add_counts, insert_new
from sidecar.store.tables import JobRow, TallyRow, table_of

JOB = table_of(JobRow)
TALLY = table_of(TallyRow)
MATCHED = "matched"
_DETAIL_CHARACTERS = 500


class Limit(NamedTuple):
    """What one lease may take: so many jobs, and so many bytes of their content."""

    jobs: int
    size_bytes: int
    busy: Collection[str] = ()
    """Collectors of which it takes none."""


_FREE: Mapping[str, Any] = {"leased_by": "", "leased_until": 0.0}


def add_first_verdicts(connection: Connection, counts: Counts) -> None:
    """Count inputs that ended with their first verdict: each is matched and that verdict at once."""
    matched: Counter[str] = Counter()
    for (collector, _, _), count in counts.items():
        matched[collector] += count
    _add(connection, {**counts, **{(collector, MATCHED, ""): count for collector, count in matched.items()}})


def insert_jobs(connection: Connection, jobs: Sequence[NewJob], now: float) -> int:
    """Queue what is new and count it as matched; gives how many that were."""
    same = {"state": State.QUEUED.value, "created_at": now, "queued_at": now, "retry_at": now}
    are_new = insert_new(connection, JOB, [job._asdict() | same for job in jobs])
    matched = Counter(job.collector for job, is_new in zip(jobs, are_new, strict=True) if is_new)
    _add(connection, {(collector, MATCHED, ""): count for collector, count in matched.items()})
    return matched.total()


def void_leases(connection: Connection, *, not_of: str | None = None, until: float | None = None) -> int:
    """Take back leases that are not `not_of`'s, or that ran out by `until`; the jobs are due at once."""
    where = [_may(Event.LEASE_VOID)]
    if not_of is not None:
        where.append(JOB.c.leased_by != not_of)
    if until is not None:
        where.append(JOB.c.leased_until <= until)
    values = {"state": after(State.LEASED, Event.LEASE_VOID).value, "reason": Event.LEASE_VOID.value, **_FREE}
    return connection.execute(update(JOB).where(*where).values(values)).rowcount


def lease(connection: Connection, owner: str, limit: Limit, now: float, until: float) -> list[Job]:
    """Lease due jobs within `limit`, at least one, those that have been due longest first."""
    void_leases(connection, until=now)
    size = func.length(JOB.c.input) + _length(JOB.c.output) + _length(JOB.c.result)
    due = (
        select(JOB.c.id, size)
        .where(_may(Event.LEASED), JOB.c.retry_at <= now, *_not_of(limit.busy))
        .order_by(JOB.c.retry_at, JOB.c.id)
        .limit(limit.jobs)
        .with_for_update(skip_locked=True)
    )
    ids = _within(limit.size_bytes, [(row[0], row[1]) for row in connection.execute(due)])
    if not ids:
        return []
    values = {"state": after(State.QUEUED, Event.LEASED).value, "leased_by": owner, "leased_until": until}
    connection.execute(update(JOB).where(JOB.c.id.in_(ids)).values(**values, attempts=JOB.c.attempts + 1))
    leased = select(*(JOB.c[name] for name in Job._fields)).where(JOB.c.id.in_(ids))
    return [Job(*row) for row in connection.execute(leased.order_by(JOB.c.retry_at, JOB.c.id))]


def _length(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.length(column), 0)


def _within(limit_bytes: int, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """The first ids whose contents fit together, and the first in any case: else it would never be leased."""
    totals = itertools.accumulate(size for _, size in sizes)
    fitting = sum(1 for _ in itertools.takewhile(lambda total: total <= limit_bytes, totals))
    return [job_id for job_id, _ in sizes[: max(fitting, 1)]]


def next_due(connection: Connection, busy: Collection[str] = ()) -> float | None:
    """When the next job of a collector that is not `busy` is due, or the next lease runs out, in seconds since the
    epoch; None when neither will."""
    queued = select(func.min(JOB.c.retry_at)).where(_may(Event.LEASED), *_not_of(busy))
    leased = select(func.min(JOB.c.leased_until)).where(_may(Event.LEASE_VOID))
    times = [connection.execute(statement).scalar_one() for statement in (queued, leased)]
    return min((time for time in times if time is not None), default=None)


def settle(connection: Connection, owner: str, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Carry out the settlements whose lease still stands, and give these; a lease that passed on decides nothing."""
    ids = [settlement.job.id for settlement in settlements]
    mine = select(JOB.c.id, JOB.c.leased_until).where(
        JOB.c.id.in_(ids), JOB.c.state == State.LEASED.value, JOB.c.leased_by == owner
    )
    leases = {row.id: row.leased_until for row in connection.execute(mine.with_for_update())}
    standing = [s for s in settlements if leases.pop(s.job.id, None) == s.job.leased_until]
    _end(connection, [s for s in standing if _next(s).is_ended])
    _keep(connection, [s for s in standing if not _next(s).is_ended])
    return standing


def _next(settlement: Settlement) -> State:
    return after(State.LEASED, EVENT_OF[type(settlement.end)])


def _end(connection: Connection, settlements: Sequence[Settlement]) -> None:
    if not settlements:
        return
    connection.execute(delete(JOB).where(JOB.c.id.in_([settlement.job.id for settlement in settlements])))
    _add(connection, Counter((s.job.collector, _next(s).value, s.end.reason) for s in settlements))


def _keep(connection: Connection, settlements: Sequence[Settlement]) -> None:
    statement = (
        update(JOB)
        .where(JOB.c.id == bindparam("job_id"))
        .values(
            state=bindparam("next_state"),
            retry_at=bindparam("next_retry_at"),
            reason=bindparam("why"),
            detail=bindparam("in_words"),
            result=func.coalesce(bindparam("found", type_=JOB.c.result.type), JOB.c.result),
            **_FREE,
        )
    )
    rows = [
        {
            "job_id": settlement.job.id,
            "next_state": _next(settlement).value,
            "next_retry_at": getattr(settlement.end, "retry_at", 0.0),
            "why": settlement.end.reason,
            "in_words": settlement.end.detail[:_DETAIL_CHARACTERS],
            "found": settlement.result,
        }
        for settlement in settlements
    ]
    if rows:
        connection.execute(statement, rows)


def remove(connection: Connection, event: Event, reason: str, *conditions: ColumnElement[bool]) -> Counter[str]:
    """End every job that meets `conditions` and that `event` may touch as dropped; gives counts by collector."""
    where = (_may(event), *conditions)
    found = select(JOB.c.collector, func.count()).where(*where).group_by(JOB.c.collector)
    removed: Counter[str] = Counter({row[0]: row[1] for row in connection.execute(found)})
    connection.execute(delete(JOB).where(*where))
    _add(connection, {(collector, State.DROPPED.value, reason): count for collector, count in removed.items()})
    return removed


def revive(connection: Connection, ids: Collection[int] | None, now: float) -> int:
    """Queue dead jobs again as if new, keeping what their workflow gave; None means every dead one."""
    state = after(State.DEAD, Event.RETRIED_BY_HAND).value
    values = {"state": state, "queued_at": now, "retry_at": now, "attempts": 0, "reason": "", "detail": ""}
    statement = update(JOB).where(_may(Event.RETRIED_BY_HAND), *among(ids)).values(values)
    return connection.execute(statement).rowcount


def _not_of(collectors: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    return (JOB.c.collector.not_in(list(collectors)),) if collectors else ()


def among(ids: Collection[int] | None) -> tuple[ColumnElement[bool], ...]:
    return () if ids is None else (JOB.c.id.in_(list(ids)),)


def list_jobs(
    connection: Connection, states: Collection[State], collector: str | None, before: int | None, limit: int
) -> list[JobView]:
    """A page of jobs, newest first, those with an id below `before`."""
    statement = select(*(JOB.c[name] for name in JobView._fields)).order_by(JOB.c.id.desc()).limit(limit)
    if states:
        statement = statement.where(JOB.c.state.in_([state.value for state in states]))
    if collector is not None:
        statement = statement.where(JOB.c.collector == collector)
    if before is not None:
        statement = statement.where(JOB.c.id < before)
    return [JobView(*row) for row in connection.execute(statement)]


def _may(event: Event) -> ColumnElement[bool]:
    states = [state.value for state in states_before(event)]
    return JOB.c.state == states[0] if len(states) == 1 else JOB.c.state.in_(states)


def _add(connection: Connection, counts: Counts) -> None:
    # Sorted, so that two writers of PostgreSQL never wait for each other's rows.
    rows = [
        {"collector": collector, "verdict": verdict, "reason": reason, "count": count}
        for (collector, verdict, reason), count in sorted(counts.items())
        if count
    ]
    add_counts(connection, TALLY, rows)
