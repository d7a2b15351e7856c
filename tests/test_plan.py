"""Tests of plans: which timelines cannot be, and how a named failure ends one."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from understudy.lifecycle import TERMINAL, TRANSITIONS, State, Step
from understudy.plan import with_outcome, wrong_steps

steps = st.builds(
    Step,
    st.sampled_from(State),
    seconds=st.none() | st.just(2.0),
    reads=st.none() | st.just(3),
)
timelines = st.lists(steps, min_size=1, max_size=4).map(tuple)


@given(timelines)
@example((Step(State.QUEUED, seconds=1, reads=1), Step(State.QUEUED)))
@example((Step(State.SUCCEEDED, seconds=1), Step(State.RUNNING)))
@example((Step(State.RUNNING), Step(State.FAILED, reads=1)))
def test_all_that_is_wrong_with_a_timeline_is_told(timeline: tuple[Step, ...]) -> None:
    """Each step follows from the one before, lasts for one thing, and only the last one lasts for ever."""
    expected: list[tuple[int, str]] = []
    before = State.QUEUED
    for index, step in enumerate(timeline):
        given_ends = [end for end in (step.seconds, step.reads) if end is not None]
        is_last = step is timeline[-1] and index == len(timeline) - 1
        if step.state not in TRANSITIONS[before]:
            expected.append((index, f"a job cannot go from {before} to {step.state}"))
        if len(given_ends) == 2:
            expected.append((index, 'a step lasts for "seconds" or for "reads", not both'))
        if not given_ends and not is_last:
            expected.append((index, 'only the last step may lack "seconds" or "reads"'))
        if given_ends and is_last:
            expected.append((index, 'the last step lasts for ever: it takes neither "seconds" nor "reads"'))
        before = step.state
    assert list(wrong_steps(timeline)) == expected


@given(timelines, st.none() | st.just("odd"))
def test_a_named_failure_ends_a_timeline_that_ends(timeline: tuple[Step, ...], failure: str | None) -> None:
    """A timeline that ends otherwise ends in failure at the same moment; one that never ends goes on as it was."""
    *others, last = timeline
    fails = failure is not None and last.state in TERMINAL - {State.FAILED}
    expected = (*others, Step(State.FAILED)) if fails else timeline
    assert with_outcome(timeline, failure) == expected
