"""The transition table: complete, and closed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.queue.states import TRANSITIONS, Event, State, TransitionError, after, state_of_job, states_before
from sidecar.queue.values import EVENT_OF, Delivered, Dropped, Filtered, LetGo, Rejected, Retry, Split


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
        Split: State.SPLIT,
        LetGo: State.DROPPED,
    }


OPEN = (State.QUEUED, State.LEASED, State.DEAD)
OF_ROWS = st.sampled_from([*OPEN, State.DELIVERED, State.DROPPED])


@given(st.lists(OF_ROWS, min_size=1, max_size=5))
def test_what_a_job_is_follows_from_its_rows_as_the_design_says(rows: list[State]) -> None:
    job = state_of_job(rows)
    assert job in rows
    assert job is state_of_job(reversed(rows))
    pending = {State.QUEUED, State.LEASED}.intersection(rows)
    assert (job in (State.QUEUED, State.LEASED)) == bool(pending)
    assert (job is State.DEAD) == (State.DEAD in rows and not pending)
    assert (job is State.DELIVERED) == (State.DELIVERED in rows and not set(OPEN).intersection(rows))


def test_what_ends_a_job_for_all_ends_its_row() -> None:
    for (_, event), state in TRANSITIONS.items():
        assert state in (State.FILTERED, State.DROPPED) or not event.ends_job
