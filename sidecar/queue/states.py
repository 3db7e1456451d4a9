"""The life of a job as one table: what may happen to it in each state, and what it then is.

Pure. A job that is pending or dead is a row; the ended states have none and are counted in `tally` under their name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from sidecar.errors import SidecarError


class State(enum.StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    DEAD = "dead"
    FILTERED = "filtered"
    DELIVERED = "delivered"
    DROPPED = "dropped"

    @property
    def is_ended(self) -> bool:
        return self in (State.FILTERED, State.DELIVERED, State.DROPPED)


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
    WITHDRAWN = "withdrawn"
    """Its collector is gone; this may come at any time."""
    RETRIED_BY_HAND = "retried_by_hand"
    DISCARDED = "discarded"


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
    (State.LEASED, Event.WITHDRAWN): State.DROPPED,
    (State.DEAD, Event.RETRIED_BY_HAND): State.QUEUED,
    (State.DEAD, Event.DISCARDED): State.DROPPED,
    (State.DEAD, Event.WITHDRAWN): State.DROPPED,
}


def after(state: State, event: Event) -> State:
    """The state that follows. Raises TransitionError when the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(f"a job that is {state} cannot become {event}") from None


def states_before(event: Event) -> tuple[State, ...]:
    """The states in which `event` may happen."""
    return tuple(state for state, possible in TRANSITIONS if possible is event)
