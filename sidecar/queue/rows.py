"""What the queue's statements share: which rows an event may touch, a row's columns at its beginning, and the tally.

Which states an event may touch is read from the transition table, never written here again; as literals, so that the
partial indexes are found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, literal_column, select

from sidecar.queue.states import Event, State, state_of_job, states_before
from sidecar.queue.values import Counts
from sidecar.store.insert import add_counts
from sidecar.store.tables import DELIVERY, JOB, TALLY

FREE: Mapping[str, Any] = {"leased_by": "", "leased_until": 0.0}
"""The columns of a lease, once there is none."""
FRESH: Mapping[str, Any] = {"attempts": 0, "voids": 0, "reason": "", "detail": "", **FREE}
"""The columns of a row that nobody has tried yet."""
IDS_AT_ONCE = 500
"""A statement names no more rows than this: databases have limits."""


def is_in(*states: State) -> ColumnElement[bool]:
    """True of the rows in one of `states`."""
    words: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
    return DELIVERY.c.state == words[0] if len(words) == 1 else DELIVERY.c.state.in_(words)


def may(event: Event) -> ColumnElement[bool]:
    """True of the rows that `event` may touch."""
    return is_in(*states_before(event))


def new_row(job_id: int, collector: str, destination: str, siblings: int, now: float) -> dict[str, Any]:
    """A row that is due at once."""
    return {
        "job_id": job_id, "destination": destination, "collector": collector, "siblings": siblings,
        "state": State.QUEUED.value, "queued_at": now, "retry_at": now, **FRESH,
    }  # fmt: skip


class Standing(NamedTuple):
    """What a job is by its rows, and a reason of those that decide."""

    collector: str
    state: State
    reason: str


def standing_of_jobs(connection: Connection, ids: Collection[int]) -> dict[int, Standing]:
    """What each of these jobs is."""
    rows: dict[int, list[Standing]] = {}
    for job_id, collector, state, reason in connection.execute(_STANDING, {"ids": list(ids)}):
        rows.setdefault(job_id, []).append(Standing(collector, State(state), reason))
    return {job_id: _deciding(each) for job_id, each in rows.items()}


def _deciding(rows: Sequence[Standing]) -> Standing:
    state = state_of_job(row.state for row in rows)
    return max(row for row in rows if row.state is state)


_STANDING = select(DELIVERY.c.job_id, DELIVERY.c.collector, DELIVERY.c.state, DELIVERY.c.reason).where(
    DELIVERY.c.job_id.in_(bindparam("ids", expanding=True))
)


def end_jobs(connection: Connection, ids: Sequence[int]) -> None:
    """Let go of jobs with all their rows; whoever ends them counts them."""
    for start in range(0, len(ids), IDS_AT_ONCE):
        connection.execute(delete(JOB).where(JOB.c.id.in_(ids[start : start + IDS_AT_ONCE])))


def count(connection: Connection, counts: Counts) -> None:
    """Add to the tally."""
    rows = [
        {"collector": collector, "verdict": verdict, "reason": reason, "count": number}
        for (collector, verdict, reason), number in counts.items()
        if number
    ]
    add_counts(connection, TALLY, rows)
