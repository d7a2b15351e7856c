"""How one job goes: its plan, and the timelines that a job can go through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from understudy.contract.views import Words
from understudy.errors import UsageError, require_number, suggestion
from understudy.lifecycle import TERMINAL, TRANSITIONS, State, Step, Timeline


class Plan(NamedTuple):
    """How one job goes: what a scenario, or a test, has decided.

    Attributes:
        timeline: The steps, or None for the provider's usual ones.
        failure: The name of the contract's failure that it ends with.
        error: The named error that its create answers instead.
        visible_after_seconds: How long status reads do not find it.
        message: The text of the failure, where it is not the contract's.
        link_lifetime_seconds: How long the links to its result files are good, where not as the contract says.
    """

    timeline: Timeline | None = None
    failure: str | None = None
    error: str | None = None
    visible_after_seconds: float | None = None
    message: str | None = None
    link_lifetime_seconds: float | None = None


#: The plan of a job for which nothing is planned.
AS_USUAL = Plan()


def checked(steps: Sequence[Step], words: Words) -> Timeline:
    """Return the timeline of these steps.

    Args:
        steps: The steps.
        words: The wire words that there are.

    Raises:
        UsageError: No job can go through them.
    """
    if not isinstance(steps, Sequence) or not all(isinstance(step, Step) for step in steps):
        raise UsageError(f"a timeline is a list of steps, such as [Step(State.SUCCEEDED)], and not {steps!r}")
    if not steps:
        raise UsageError("a timeline needs a step")
    timeline = tuple(replace(step, state=named_state(step.state, words)) for step in steps)
    for index, text in wrong_steps(timeline):
        raise UsageError(f"step {index + 1} of the timeline: {text}")
    for index, step in enumerate(timeline):
        require_number(f'"seconds" in step {index + 1} of the timeline', step.seconds, 0)
        require_number(f'"reads" in step {index + 1} of the timeline', step.reads, 1)
        if step.status is not None and words.state_named(step.status) is None:
            text = f'no state has the word "{step.status}"; {suggestion(str(step.status), words.spoken)}'
            raise UsageError(f"step {index + 1} of the timeline: {text}")
    return timeline


def named_state(state: State | str, words: Words) -> State:
    """Return a state that is named.

    Raises:
        UsageError: There is none of that name.
    """
    if state in [*State]:
        return State(state)
    meant = words.state_named(state)
    hint = suggestion(str(state), State) if meant is None else f"that is the provider's word for {meant}"
    raise UsageError(f'there is no state "{state}"; {hint}')


def wrong_steps(steps: Sequence[Step]) -> Iterator[tuple[int, str]]:
    """Return what is wrong with a timeline: the index of a step, and a text."""
    last = len(steps) - 1
    for index, step in enumerate(steps):
        before = steps[index - 1].state if index else State.QUEUED
        if step.state not in TRANSITIONS[before]:
            yield index, f"a job cannot go from {before} to {step.state}"
        if step.seconds is not None and step.reads is not None:
            yield index, 'a step lasts for "seconds" or for "reads", not both'
        endless = step.seconds is None and step.reads is None
        if endless and index < last:
            yield index, 'only the last step may lack "seconds" or "reads"'
        if not endless and index == last:
            yield index, 'the last step lasts for ever: it takes neither "seconds" nor "reads"'


def with_outcome(timeline: Timeline, failure: str | None) -> Timeline:
    """Return a timeline that ends as a plan says: in failure, where one is named."""
    last = timeline[-1]
    if failure is None or last.state is State.FAILED:
        return timeline
    ending = Step(State.FAILED)
    return (*timeline[:-1], ending) if last.state in TERMINAL else timeline
