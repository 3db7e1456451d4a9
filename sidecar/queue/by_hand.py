"""What people do to jobs: look at them, try dead letters again, give them up, take a collector's away.

Statements on a connection, as in `statements`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from sidecar.queue import ended, rows
from sidecar.queue.states import Event, State, after, state_of_job, states_before
from sidecar.queue.values import DeliveryView, JobView, Wanted
from sidecar.store.tables import DELIVERY, JOB

_ROWS = DELIVERY.alias()


def remove(
    connection: Connection, event: Event, reason: str, now: float, *conditions: ColumnElement[bool]
) -> Counter[str]:
    """End the jobs of which a row meets `conditions` and `event` may touch it, as dropped; gives counts by collector.
    A job of which another row is in a state that `event` may not touch stays, unless that row has ended."""
    chosen = select(DELIVERY.c.job_id).where(rows.may(event), *conditions, ~_has_other(event))
    found = select(JOB.c.collector, func.count()).where(JOB.c.id.in_(chosen)).group_by(JOB.c.collector)
    removed: Counter[str] = Counter({row[0]: row[1] for row in connection.execute(found)})
    shared = ended.shared(connection, DELIVERY.c.job_id.in_(chosen))
    ended.keep(connection, shared, now, dict.fromkeys(shared, reason))
    connection.execute(delete(JOB).where(JOB.c.id.in_(chosen)))
    rows.count(connection, {(collector, State.DROPPED.value, reason): number for collector, number in removed.items()})
    return removed


def _has_other(event: Event) -> ColumnElement[bool]:
    others = [s.value for s in State if not s.is_ended and s not in states_before(event)]
    return select(_ROWS.c.job_id).where(_ROWS.c.job_id == DELIVERY.c.job_id, _ROWS.c.state.in_(others)).exists()


def count_jobs(connection: Connection, event: Event, wanted: Wanted) -> int:
    """How many jobs are among `wanted` that `event` may touch: what `remove` and `revive` would come to."""
    where = [rows.may(event), *among(wanted)]
    if event.ends_job:
        where.append(~_has_other(event))
    return connection.execute(select(func.count(DELIVERY.c.job_id.distinct())).where(*where)).scalar_one()


def revive(connection: Connection, wanted: Wanted, now: float) -> int:
    """Queue dead rows again as if new, keeping what their workflow gave and which tries failed. Gives of how many
    jobs."""
    jobs = count_jobs(connection, Event.RETRIED_BY_HAND, wanted)
    state = after(State.DEAD, Event.RETRIED_BY_HAND).value
    values = {"state": state, "queued_at": now, "retry_at": now, **rows.FRESH}
    connection.execute(update(DELIVERY).where(rows.may(Event.RETRIED_BY_HAND), *among(wanted)).values(values))
    return jobs


def among(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """True of the rows that are wanted, each by itself and by its job."""
    yield from _of_row(wanted)
    if of_job := list(_of_job(wanted)):
        yield select(JOB.c.id).where(JOB.c.id == DELIVERY.c.job_id, *of_job).correlate(DELIVERY).exists()


def list_jobs(connection: Connection, wanted: Wanted, before: int | None, limit: int) -> list[JobView]:
    """A page of jobs, newest first, those with an id below `before`."""
    columns = (JOB.c[name] for name in _OF_JOB)
    statement = select(*columns).where(*_of_job(wanted)).order_by(JOB.c.id.desc()).limit(limit)
    if of_row := list(_of_row(wanted)):
        statement = statement.where(select(DELIVERY.c.job_id).where(DELIVERY.c.job_id == JOB.c.id, *of_row).exists())
    if before is not None:
        statement = statement.where(JOB.c.id < before)
    jobs = connection.execute(statement).all()
    deliveries = _deliveries(connection, [row[0] for row in jobs])
    return [_view(tuple(row), deliveries[row[0]]) for row in jobs]


_OF_JOB = JobView._fields[: JobView._fields.index("state")]


def _of_row(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.ids is not None:
        yield DELIVERY.c.job_id.in_(list(wanted.ids))
    if wanted.states:
        yield rows.is_in(*wanted.states)
    if wanted.destination:
        yield DELIVERY.c.destination == wanted.destination
    if wanted.reason:
        yield DELIVERY.c.reason == wanted.reason


def _of_job(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.collector:
        yield JOB.c.collector == wanted.collector
    if wanted.since is not None:
        yield JOB.c.created_at >= wanted.since
    if wanted.until is not None:
        yield JOB.c.created_at < wanted.until


def _deliveries(connection: Connection, ids: list[int]) -> dict[int, list[DeliveryView]]:
    columns = (DELIVERY.c[name] for name in DeliveryView._fields)
    statement = select(DELIVERY.c.job_id, *columns).where(DELIVERY.c.job_id.in_(ids)).order_by(DELIVERY.c.destination)
    found: dict[int, list[DeliveryView]] = {}
    for job_id, *row in connection.execute(statement):
        found.setdefault(job_id, []).append(DeliveryView(*row))
    return found


def _view(job: tuple[object, ...], deliveries: list[DeliveryView]) -> JobView:
    state = state_of_job(State(each.state) for each in deliveries)
    deciding = min((each for each in deliveries if each.state == state), key=lambda each: each.retry_at)
    return JobView._make((*job, *deciding[1:], tuple(deliveries)))
