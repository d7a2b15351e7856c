"""Tests of listening to a stream, beside `test_follow.py`: for how long, to whom, and what is left when it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from understudy import Job, Output, ProviderError, State, VirtualClock
from understudy.exchange import FIRST_PAUSE_SECONDS, Answer
from understudy.listening import Listening
from understudy.waits import GLANCE_SECONDS, SILENCE_SECONDS, Waiting

seconds = st.integers(0, 800).map(lambda quarters: quarters / 4)


def wait_for(clock: VirtualClock, limit: float = 600.0) -> Waiting:
    """Return a wait that begins now."""
    return Waiting(Job(id="t"), clock.now(), limit, clock.now(), said=Answer(200, {}, b"", clock.now()))


@given(seconds, seconds, seconds)
@example(400, 0, SILENCE_SECONDS)  # the stream was silent for too long, at this very moment
@example(100, 0, 49)  # the deadline is too near, at this very moment
@example(400, 59, SILENCE_SECONDS)
@example(1, 5, 0)  # it has passed
def test_a_stream_is_listened_to_for_so_long(limit: float, first: float, later: float) -> None:
    """It is over when the stream told nothing of the job for a minute, or a read could outlast the deadline."""
    clock = VirtualClock()
    waiting = wait_for(clock, limit)
    ear = Listening(waiting, clock)
    assert ear.patience == min(SILENCE_SECONDS, limit / 2)
    clock.advance(first)
    ear.hear(Job(id="t", state=State.RUNNING))
    clock.advance(later)
    if later >= SILENCE_SECONDS or first + later >= limit - ear.patience - GLANCE_SECONDS:
        with pytest.raises(ProviderError, match=r"^the stream of events tells nothing of the job") as caught:
            ear.look()
        assert caught.value.job is waiting.job
    else:
        ear.look()


def test_listening_after_the_deadline_has_no_patience() -> None:
    """A wait that is over already has no patience left, and not less than none."""
    clock = VirtualClock()
    waiting = wait_for(clock, 10)
    clock.advance(20)
    assert Listening(waiting, clock).patience == 0


def test_only_news_of_the_job_are_heard() -> None:
    """What is told is laid over what is known, what is not told stays, and another job is nobody."""
    clock = VirtualClock()
    waiting = wait_for(clock)
    waiting.job = replace(waiting.job, model="m", progress=0.5, outputs=(Output(url="u"),))
    before, ear = waiting.said, Listening(waiting, clock)
    clock.advance(59)
    ear.hear(Job(id="other", state=State.FAILED))
    assert (waiting.job.state, waiting.said) == (State.QUEUED, before)
    ear.hear(Job(id="t", state=State.RUNNING, progress=0.75))
    assert waiting.said is None  # what the last answer said is out of date
    known = Job(id="t", state=State.RUNNING, model="m", progress=0.75, outputs=(Output(url="u"),))
    assert waiting.job == known


@pytest.mark.parametrize(("asked", "quiet"), [(None, FIRST_PAUSE_SECONDS), (0.0, 0.0), (30.0, 30.0)])
def test_trouble_with_a_stream_is_taken_note_of(asked: float | None, quiet: float) -> None:
    """An error of ours ends the stretch and not the wait; the poll that follows is due after the asked pause."""
    clock = VirtualClock()
    waiting = wait_for(clock)
    trouble = ProviderError("lost", retry_after_seconds=asked)
    with Listening(waiting, clock):
        raise trouble
    assert waiting.trouble is trouble
    assert (waiting.due, waiting.quiet_until) == (clock.now(), clock.now() + quiet)
    assert waiting.pause_from(clock.now()) == quiet


def test_a_stream_that_ends_says_of_which_job() -> None:
    """The end of the stream before that of the job is trouble, and names the job."""
    clock = VirtualClock()
    waiting = wait_for(clock)
    with Listening(waiting, clock) as ear:
        ear.hear(None)
    assert isinstance(waiting.trouble, ProviderError)
    assert str(waiting.trouble).startswith("the stream of events ended before the job")
    assert waiting.trouble.job is waiting.job


def test_what_is_no_error_of_ours_goes_through_and_leaves_nothing() -> None:
    """Another error ends the wait, and nothing of the stretch is left on the agenda."""
    clock = VirtualClock()

    def listen() -> None:
        with Listening(wait_for(clock), clock):
            assert clock.next_due() == clock.now() + GLANCE_SECONDS
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        listen()
    assert clock.next_due() is None
