"""The life of a job as one table: what may happen to each of its rows in each state, and what that row then is.

Pure. A job has a row for each of its destinations, or at first one for the workflow that all of them wait for; what the
job is follows from its rows by `state_of_job`. A job that is pending or dead is in the database; the ended states are
counted in `tally` under their name.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from sidecar.errors import SidecarError


class State(enum.StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    DEAD = "dead"
    FILTERED = "filtered"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    SPLIT = "split"
    """Rows for the destinations stand in its place."""

    @property
    def is_ended(self) -> bool:
        return self not in (State.QUEUED, State.LEASED, State.DEAD)


class Event(enum.StrEnum):
    LEASED = "leased"
    LEASE_VOID = "lease_void"
    """The lease ran out, or belongs to an engine that is gone."""
    RETRY = "retry"
    REJECTED = "rejected"
    FILTERED = "filtered"
    DISPLACED = "displaced"
    """Another input took its place in a reservoir before it was due."""
    DELIVERED = "delivered"
    DROPPED = "dropped"
    """The one who holds the lease cannot go on, and no policy meant it."""
    SPLIT = "split"
    """The workflow that all destinations waited for has run, and wants the input."""
    LET_GO = "let_go"
    """Its collector no longer names this destination."""
    WITHDRAWN = "withdrawn"
    """Its collector is gone; this may come at any time."""
    RETRIED_BY_HAND = "retried_by_hand"
    DISCARDED = "discarded"

    @property
    def ends_job(self) -> bool:
        """True if it ends the job for all its destinations, however the other rows stand."""
        return self in _ENDS_JOB


_ENDS_JOB = (Event.FILTERED, Event.DISPLACED, Event.DROPPED, Event.WITHDRAWN, Event.DISCARDED)


class TransitionError(SidecarError):
    """An event that cannot happen in this state: a fault of ours."""


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.QUEUED, Event.LEASED): State.LEASED,
    (State.QUEUED, Event.DISPLACED): State.FILTERED,
    (State.QUEUED, Event.WITHDRAWN): State.DROPPED,
    (State.LEASED, Event.LEASE_VOID): State.QUEUED,
    (State.LEASED, Event.RETRY): State.QUEUED,
    (State.LEASED, Event.REJECTED): State.DEAD,
    (State.LEASED, Event.FILTERED): State.FILTERED,
    (State.LEASED, Event.DELIVERED): State.DELIVERED,
    (State.LEASED, Event.DROPPED): State.DROPPED,
    (State.LEASED, Event.SPLIT): State.SPLIT,
    (State.LEASED, Event.LET_GO): State.DROPPED,
    (State.LEASED, Event.WITHDRAWN): State.DROPPED,
    (State.DEAD, Event.RETRIED_BY_HAND): State.QUEUED,
    (State.DEAD, Event.DISCARDED): State.DROPPED,
    (State.DEAD, Event.WITHDRAWN): State.DROPPED,
}
_DECIDING = (State.LEASED, State.QUEUED, State.DEAD, State.DELIVERED, State.DROPPED)
"""Pending while one row is, then dead if one is; what was let go decides only where nothing else is left."""


def after(state: State, event: Event) -> State:
    """The state that follows. Raises TransitionError when the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(f"a job that is {state} cannot become {event}") from None


def states_before(event: Event) -> tuple[State, ...]:
    """The states in which `event` may happen."""
    return tuple(state for state, possible in TRANSITIONS if possible is event)


def state_of_job(rows: Iterable[State]) -> State:
    """What a job is whose rows, one at least, are in these states."""
    return min(rows, key=_DECIDING.index)
