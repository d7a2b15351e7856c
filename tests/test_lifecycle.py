"""Tests of the lifecycle: the table of states, and how a job goes through it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from understudy.lifecycle import TERMINAL, TRANSITIONS, IllegalTransition, Job, State

states = st.sampled_from(list(State))


def test_a_terminal_state_is_one_that_nothing_follows():
    """Every state is in the table; those that end a job lead nowhere, and can be reached from all others."""
    assert set(TRANSITIONS) == set(State)
    assert {State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED} == TERMINAL
    for state in set(State) - TERMINAL:
        assert TRANSITIONS[state] > TERMINAL
        assert state in TRANSITIONS[state]  # again, with another word
    assert State.QUEUED not in TRANSITIONS[State.RUNNING]


@given(states, states, st.floats(0, 1e9))
def test_a_job_goes_where_the_table_leads_and_nowhere_else(first: State, second: State, now: float):
    """A step that the table has is taken; any other raises, and the job is as it was."""
    job = Job(id="j", state=first, status="word", created_at=0, updated_at=0)
    before = repr(job)
    if second in TRANSITIONS[first]:
        job.enter(second, status="next", now=now)
        assert (job.state, job.status, job.updated_at) == (second, "next", now)
        assert job.terminal is (second in TERMINAL)
    else:
        with pytest.raises(IllegalTransition, match=f"job j cannot go from {first} to {second}"):
            job.enter(second, status="next", now=now)
        assert repr(job) == before


class Life(RuleBasedStateMachine):
    """A job that is sent through any states, beside the times that it should have noted."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.job = Job(id="j", created_at=self.now)
        self.entered: list[tuple[State, float]] = []

    @rule(state=states, later=st.integers(0, 50))
    def enter(self, state: State, later: int) -> None:
        """Go somewhere, if the table leads there."""
        self.now += later
        try:
            self.job.enter(state, status=None, now=self.now)
        except IllegalTransition:
            return
        self.entered.append((state, self.now))

    @invariant()
    def times_are_those_of_the_first_start_and_the_end(self) -> None:
        """A job starts when it first runs, ends once, and lasts from its creation to its end."""
        starts = [now for state, now in self.entered if state is State.RUNNING]
        ends = [now for state, now in self.entered if state in TERMINAL]
        assert len(ends) <= 1
        assert self.job.started_at == (starts[0] if starts else None)
        assert self.job.ended_at == (ends[0] if ends else None)
        assert self.job.duration_seconds == (ends[0] - 100 if ends else None)
        assert self.job.updated_at == (self.entered[-1][1] if self.entered else None)


test_the_life_of_a_job = Life.TestCase
test_the_life_of_a_job.settings = settings(stateful_step_count=8)  # a life is short


def test_a_job_of_unknown_age_lasts_no_time():
    """Without a time of creation the duration is zero."""
    job = Job(id="j")
    job.enter(State.FAILED, status=None, now=5)
    assert job.duration_seconds == 0
