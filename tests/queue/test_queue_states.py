"""The transition table: complete, and closed."""

from __future__ import annotations

import itertools

import pytest

from sidecar.queue.states import TRANSITIONS, Event, State, TransitionError, after, states_before
from sidecar.queue.values import EVENT_OF, Delivered, Dropped, Filtered, Rejected, Retry


def test_what_is_not_in_the_table_raises() -> None:
    for state, event in itertools.product(State, Event):
        if (state, event) in TRANSITIONS:
            assert after(state, event) is TRANSITIONS[state, event]
        else:
            with pytest.raises(TransitionError, match=f"a job that is {state} cannot become {event}"):
                after(state, event)


def test_nothing_happens_to_a_job_that_has_ended() -> None:
    assert not [state for state, _ in TRANSITIONS if state.is_ended]


def test_every_state_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {State.QUEUED} | set(TRANSITIONS.values())
    assert reached == set(State)
    for state in (State.QUEUED, State.LEASED, State.DEAD):
        assert state in states_before(Event.WITHDRAWN)


def test_every_end_of_a_lease_has_its_transition() -> None:
    ends = {end: after(State.LEASED, event) for end, event in EVENT_OF.items()}
    assert ends == {
        Filtered: State.FILTERED,
        Delivered: State.DELIVERED,
        Retry: State.QUEUED,
        Rejected: State.DEAD,
        Dropped: State.DROPPED,
    }
