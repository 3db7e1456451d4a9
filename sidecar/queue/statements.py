"""The queue's statements: each a function on a connection, inside a transaction that `jobs` owns.

Every change of a row that ends or begins a job changes `tally` in the same call; that is what makes the ledger hold. A
job's bodies are written when it begins, and what its workflow gave once: whatever else happens to it changes its small
rows of `delivery`. What runs for every batch is built once and given its values: building costs more than running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from sidecar.memory import Change
from sidecar.queue import ended, rows
from sidecar.queue.displacing import displace
from sidecar.queue.memories import remember
from sidecar.queue.states import State, after
from sidecar.queue.tries import Try, add
from sidecar.queue.values import EVENT_OF, WORKFLOW, Counts, End, Job, NewJob, Rejected, Retry, Settlement, Split
from sidecar.store.insert import insert_new, take_ids
from sidecar.store.tables import DELIVERY, JOB

MATCHED = "matched"
_DETAIL_CHARACTERS = 500
_JOINED = ","
"""Stands between the names in `split_into`: no name has it."""


def add_first_verdicts(connection: Connection, counts: Counts) -> None:
    """Count inputs that ended with their first verdict: each is matched and that verdict at once."""
    record(connection, (), counts, 0.0)


def record(
    connection: Connection, jobs: Sequence[NewJob], counts: Counts, now: float, changes: Sequence[Change] = ()
) -> tuple[int, Counter[str]]:
    """Queue the jobs that are new; they and those that `counts` ended are matched. Gives how many, and how many of each
    collector were displaced by others."""
    new = _insert(connection, jobs, now) if jobs else []
    matched = Counter(job.collector for job in new)
    for (collector, _, _), number in counts.items():
        matched[collector] += number
    rows.count(connection, {**counts, **{(collector, MATCHED, ""): number for collector, number in matched.items()}})
    remember(connection, changes)
    return len(new), displace(connection, changes)


def _insert(connection: Connection, jobs: Sequence[NewJob], now: float) -> list[NewJob]:
    ids = take_ids(connection, JOB, len(jobs))
    made = [_job_row(job_id, job, now) for job_id, job in zip(ids, jobs, strict=True)]
    are_new = insert_new(connection, JOB, made)
    new = [(job_id, job) for job_id, job, is_new in zip(ids, jobs, are_new, strict=True) if is_new]
    insert_new(connection, DELIVERY, [row for job_id, job in new for row in _first_rows(job_id, job, now)])
    return [job for _, job in new]


def _job_row(job_id: int, job: NewJob, now: float) -> dict[str, Any]:
    row = job._asdict()
    names = row.pop("destinations")
    row["split_into"] = _JOINED.join(names) if row.pop("has_workflow") and len(names) > 1 else ""
    return {**row, "id": job_id, "created_at": now}


def _first_rows(job_id: int, job: NewJob, now: float) -> list[dict[str, Any]]:
    names = job.destinations
    if job.has_workflow and len(names) > 1:
        names = (WORKFLOW,)
    return [rows.new_row(job_id, job.collector, name, len(names) - 1, now) for name in names]


class Settled(NamedTuple):
    """What came of settlements: those whose lease stood, and how many jobs they brought to a (collector, verdict,
    reason); a job of several destinations is told when the last of them is settled."""

    standing: list[Settlement]
    ends: Counter[tuple[str, str, str]]


def settle(connection: Connection, owner: str, settlements: Sequence[Settlement], now: float) -> Settled:
    """Carry out the settlements whose lease still stands; a lease that passed on decides nothing."""
    standing = _standing(connection, owner, settlements)
    over = {s.job.id: s for s in reversed(standing) if _is_over(s.job, s.end)}
    going_on = [s for s in standing if s.job.id not in over]
    ends = Counter((s.job.collector, _NEXT[type(s.end)].value, s.end.reason) for s in over.values())
    ended.keep(connection, [s.job.id for s in over.values() if s.job.siblings], now, _reasons(over))
    rows.end_jobs(connection, list(over))
    split = [s for s in going_on if isinstance(s.end, Split)]
    _keep(connection, [s for s in going_on if not isinstance(s.end, Split)], now)
    _keep_results(connection, going_on)
    _split(connection, [s.job.id for s in split], now)
    ends += _settle_shared(connection, [s for s in going_on if s.job.siblings], now)
    ends += Counter((s.job.collector, State.DEAD.value, s.end.reason) for s in going_on if _is_dead_alone(s))
    rows.count(connection, {end: number for end, number in ends.items() if end[1] != State.DEAD.value})
    remember(connection, [change for settlement in standing for change in settlement.changes])
    return Settled(standing, ends)


def _reasons(over: Mapping[int, Settlement]) -> dict[int, str]:
    return {job_id: settlement.end.reason for job_id, settlement in over.items()}


def _standing(connection: Connection, owner: str, settlements: Sequence[Settlement]) -> list[Settlement]:
    """The first that stands decides; one of an older lease takes nothing from it."""
    found = connection.execute(_MINE, {"ids": list({s.job.id for s in settlements}), "owner": owner})
    leases = {(row[0], row[1]): row[2] for row in found}
    standing = []
    for settlement in settlements:
        key = (settlement.job.id, settlement.job.destination)
        if leases.get(key) == settlement.job.leased_until:
            del leases[key]
            standing.append(settlement)
    return standing


def _is_over(job: Job, end: End) -> bool:
    """True if `end` is the job's own, whatever its other rows say."""
    return EVENT_OF[type(end)].ends_job or (not job.siblings and _NEXT[type(end)] in (State.DELIVERED, State.DROPPED))


def _is_dead_alone(settlement: Settlement) -> bool:
    return not settlement.job.siblings and _NEXT[type(settlement.end)] is State.DEAD


_NEXT: Mapping[type[End], State] = {kind: after(State.LEASED, event) for kind, event in EVENT_OF.items()}
_MINE = (
    select(DELIVERY.c.job_id, DELIVERY.c.destination, DELIVERY.c.leased_until)
    .where(
        DELIVERY.c.job_id.in_(bindparam("ids", expanding=True)),
        rows.is_in(State.LEASED),
        DELIVERY.c.leased_by == bindparam("owner"),
    )
    .with_for_update()
)
_KEEP = (
    update(DELIVERY)
    .where(DELIVERY.c.job_id == bindparam("the_job"), DELIVERY.c.destination == bindparam("the_destination"))
    .values(
        state=bindparam("next_state"),
        retry_at=bindparam("next_retry_at"),
        reason=bindparam("why"),
        detail=bindparam("in_words"),
        settled_at=bindparam("ended_at"),
        tries=bindparam("all_tries"),
        voids=0,
        **rows.FREE,
    )
)
_KEEP_RESULT = (
    update(JOB).where(JOB.c.id == bindparam("the_job")).values(result=bindparam("found"), trace=bindparam("traced"))
)


def _keep(connection: Connection, settlements: Sequence[Settlement], now: float) -> None:
    kept = [_kept(settlement.job, settlement.end, now) for settlement in settlements]
    if kept:
        connection.execute(_KEEP, kept)


def _kept(job: Job, end: End, now: float) -> dict[str, Any]:
    detail = _storable(end.detail[:_DETAIL_CHARACTERS])
    has_failed = isinstance(end, Retry | Rejected)
    return {
        "the_job": job.id,
        "the_destination": job.destination,
        "next_state": _NEXT[type(end)].value,
        "next_retry_at": getattr(end, "retry_at", 0.0),
        "why": end.reason,
        "in_words": detail,
        "ended_at": now,
        "all_tries": add(job.tries, Try(job.attempts, now, end.reason, detail)) if has_failed else job.tries,
    }


def _keep_results(connection: Connection, settlements: Iterable[Settlement]) -> None:
    found = [{"the_job": s.job.id, "found": s.result, "traced": s.trace} for s in settlements if s.result is not None]
    if found:
        connection.execute(_KEEP_RESULT, found)


def _split(connection: Connection, ids: Sequence[int], now: float) -> None:
    """A row for each destination in the place of the workflow's."""
    if not ids:
        return
    found = connection.execute(select(JOB.c.id, JOB.c.collector, JOB.c.split_into).where(JOB.c.id.in_(ids))).all()
    connection.execute(delete(DELIVERY).where(DELIVERY.c.job_id.in_(ids)))
    made = []
    for job_id, collector, split_into in found:
        names = split_into.split(_JOINED)
        made += [rows.new_row(job_id, collector, name, len(names) - 1, now) for name in names]
    insert_new(connection, DELIVERY, made)


def _settle_shared(
    connection: Connection, settlements: Sequence[Settlement], now: float
) -> Counter[tuple[str, str, str]]:
    """End the jobs of several destinations of which none is pending or dead any more, and tell the dead ones too."""
    ends: Counter[tuple[str, str, str]] = Counter()
    if not settlements:
        return ends
    jobs = rows.standing_of_jobs(connection, {settlement.job.id for settlement in settlements})
    for collector, state, reason in jobs.values():
        if state.is_ended or state is State.DEAD:
            ends[collector, state.value, reason] += 1
    over = [job_id for job_id, standing in jobs.items() if standing.state.is_ended]
    ended.keep(connection, over, now)
    rows.end_jobs(connection, over)
    return ends


def _storable(text: str) -> str:
    """A far side's words may hold what no database can: half a surrogate pair, a NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")
