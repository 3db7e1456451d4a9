"""The queue's statements: each a function on a connection, inside a transaction that `jobs` owns.

Every change of a row that ends or begins a job changes `tally` in the same call; that is what makes the ledger hold.
Which rows an event may touch is read from the transition table, never written here again. What runs for every batch is
built once and given its values: building costs more than running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from sidecar.memory import Change, input_of_name
from sidecar.queue.memories import remember
from sidecar.queue.states import Event, State, after, states_before
from sidecar.queue.values import EVENT_OF, Counts, End, JobView, NewJob, Settlement
from sidecar.store.insert import add_counts, insert_new
from sidecar.store.tables import JOB, TALLY

MATCHED = "matched"
PRE_QUEUE = "pre_queue"
_DETAIL_CHARACTERS = 500


FREE: Mapping[str, Any] = {"leased_by": "", "leased_until": 0.0}
"""The columns of a lease, once there is none."""
_FRESH: Mapping[str, Any] = {"attempts": 0, "voids": 0, "reason": "", "detail": "", **FREE}
"""The columns of a job that nobody has tried yet."""


def add_first_verdicts(connection: Connection, counts: Counts) -> None:
    """Count inputs that ended with their first verdict: each is matched and that verdict at once."""
    record(connection, (), counts, 0.0)


def record(
    connection: Connection, jobs: Sequence[NewJob], counts: Counts, now: float, changes: Sequence[Change] = ()
) -> tuple[int, Counter[str]]:
    """Queue the jobs that are new; they and those that `counts` ended are matched. Gives how many, and how many of each
    collector were displaced by others."""
    same = {**_FRESH, "state": State.QUEUED.value, "created_at": now, "queued_at": now, "retry_at": now}
    are_new = insert_new(connection, JOB, [{**job._asdict(), **same} for job in jobs])
    matched = Counter(job.collector for job, is_new in zip(jobs, are_new, strict=True) if is_new)
    queued = matched.total()
    for (collector, _, _), count in counts.items():
        matched[collector] += count
    _add(connection, {**counts, **{(collector, MATCHED, ""): count for collector, count in matched.items()}})
    remember(connection, changes)
    return queued, displace(connection, changes)


def settle(connection: Connection, owner: str, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Carry out the settlements whose lease still stands, and give these; a lease that passed on decides nothing."""
    ids = [settlement.job.id for settlement in settlements]
    leases = {row[0]: row[1] for row in connection.execute(_MINE, {"ids": ids, "owner": owner})}
    standing = []
    for settlement in settlements:
        if leases.get(settlement.job.id) == settlement.job.leased_until:
            del leases[settlement.job.id]  # the first that stands decides; one of an older lease takes nothing from it
            standing.append(settlement)
    _end(connection, [s for s in standing if _NEXT[type(s.end)].is_ended])
    _keep(connection, [s for s in standing if not _NEXT[type(s.end)].is_ended])
    remember(connection, [change for settlement in standing for change in settlement.changes])
    return standing


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
    _add(connection, {(collector, filtered, PRE_QUEUE): count for collector, count in ended.items()})
    return ended


def _place_of(change: Change, name: str) -> dict[str, Any]:
    exchange_id, input_index = input_of_name(name)
    return {"the_exchange": exchange_id, "the_index": input_index, "the_collector": change.memory.place.collector}


_NEXT: Mapping[type[End], State] = {kind: after(State.LEASED, event) for kind, event in EVENT_OF.items()}
_AMONG = JOB.c.id.in_(bindparam("ids", expanding=True))
_MINE = (
    select(JOB.c.id, JOB.c.leased_until)
    .where(_AMONG, JOB.c.state == State.LEASED.value, JOB.c.leased_by == bindparam("owner"))
    .with_for_update()
)
_DELETE = delete(JOB).where(_AMONG)
_KEEP = (
    update(JOB)
    .where(JOB.c.id == bindparam("job_id"))
    .values(
        state=bindparam("next_state"),
        retry_at=bindparam("next_retry_at"),
        reason=bindparam("why"),
        detail=bindparam("in_words"),
        result=func.coalesce(bindparam("found", type_=JOB.c.result.type), JOB.c.result),
        voids=0,
        **FREE,
    )
)


(_MAY_BE_DISPLACED,) = states_before(Event.DISPLACED)
_HELD = (
    JOB.c.exchange_id == bindparam("the_exchange"),
    JOB.c.input_index == bindparam("the_index"),
    JOB.c.collector == bindparam("the_collector"),
    JOB.c.state == _MAY_BE_DISPLACED.value,
    JOB.c.attempts == 0,
)
_HOLD = (
    update(JOB)
    .where(*_HELD, JOB.c.retry_at < bindparam("due"))
    .values(retry_at=bindparam("due"), queued_at=bindparam("due"))
)
_DISPLACE = delete(JOB).where(*_HELD)


def _end(connection: Connection, settlements: Sequence[Settlement]) -> None:
    if not settlements:
        return
    connection.execute(_DELETE, {"ids": [settlement.job.id for settlement in settlements]})
    _add(connection, Counter((s.job.collector, _NEXT[type(s.end)].value, s.end.reason) for s in settlements))


def _keep(connection: Connection, settlements: Sequence[Settlement]) -> None:
    rows = [
        {
            "job_id": settlement.job.id,
            "next_state": _NEXT[type(settlement.end)].value,
            "next_retry_at": getattr(settlement.end, "retry_at", 0.0),
            "why": settlement.end.reason,
            "in_words": _storable(settlement.end.detail[:_DETAIL_CHARACTERS]),
            "found": settlement.result,
        }
        for settlement in settlements
    ]
    if rows:
        connection.execute(_KEEP, rows)


def _storable(text: str) -> str:
    """A far side's words may hold what no database can: half a surrogate pair, a NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def remove(connection: Connection, event: Event, reason: str, *conditions: ColumnElement[bool]) -> Counter[str]:
    """End every job that meets `conditions` and that `event` may touch as dropped; gives counts by collector."""
    where = (may(event), *conditions)
    found = select(JOB.c.collector, func.count()).where(*where).group_by(JOB.c.collector)
    removed: Counter[str] = Counter({row[0]: row[1] for row in connection.execute(found)})
    connection.execute(delete(JOB).where(*where))
    _add(connection, {(collector, State.DROPPED.value, reason): count for collector, count in removed.items()})
    return removed


def revive(connection: Connection, ids: Collection[int] | None, now: float) -> int:
    """Queue dead jobs again as if new, keeping what their workflow gave; None means every dead one."""
    state = after(State.DEAD, Event.RETRIED_BY_HAND).value
    values = {"state": state, "queued_at": now, "retry_at": now, **_FRESH}
    statement = update(JOB).where(may(Event.RETRIED_BY_HAND), *among(ids)).values(values)
    return connection.execute(statement).rowcount


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


def may(event: Event) -> ColumnElement[bool]:
    """True of the rows that `event` may touch."""
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
