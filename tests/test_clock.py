"""Tests of the one clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.clock import EPOCH_SECONDS, Clock, SystemClock, VirtualClock
from understudy.errors import ClockExhausted

BACKENDS = ["asyncio", *(["trio"] if find_spec("trio") else [])]

# Whole seconds are exact as floats, so that a sum of them does not depend on its order.
seconds = st.integers(0, 20)


def nothing() -> None:
    """Do nothing."""


# What is due


@given(st.lists(st.tuples(seconds, st.booleans())), st.lists(seconds, min_size=1, max_size=5))
def test_what_is_due_happens_in_order(entries: list[tuple[int, bool]], strides: list[int]) -> None:
    """However far each stride goes, what is due happens at its moment, ties in order of entry, cancelled ones never."""
    clock = VirtualClock()
    happened: list[tuple[float, int]] = []

    def note(index: int) -> Callable[[], None]:
        return lambda: happened.append((clock.now() - EPOCH_SECONDS, index))

    for index, (when, cancelled) in enumerate(entries):
        entry = clock.call_at(EPOCH_SECONDS + when, note(index))
        if cancelled:
            entry.cancel()
    for stride in strides:
        clock.advance(stride)
        assert clock.now() - EPOCH_SECONDS >= max((when for when, _ in happened), default=0)
    due = [(when, index) for index, (when, cancelled) in enumerate(entries) if not cancelled and when <= sum(strides)]
    assert happened == sorted(due)


def test_what_is_cancelled_at_the_last_moment_does_not_happen() -> None:
    """Another thread may cancel what was taken from the agenda and has not begun."""

    class Busy(VirtualClock):
        def _reach(self, when: float) -> None:
            super()._reach(when)
            entry.cancel()

    happened: list[str] = []
    clock = Busy()
    entry = clock.call_at(EPOCH_SECONDS + 1, happened.append, "too late")
    clock.advance(2)
    assert not happened


@given(st.lists(st.tuples(seconds, seconds)), seconds, seconds)
def test_two_strides_are_one(entries: list[tuple[int, int]], first: int, second: int) -> None:
    """Advancing by a and then by b does the same at the same times as advancing by both, also what actions put up."""

    def story(strides: list[int]) -> list[tuple[float, str]]:
        clock = VirtualClock()
        happened: list[tuple[float, str]] = []

        def begin(index: int, later: int) -> None:
            happened.append((clock.now(), f"begin {index}"))
            clock.call_at(clock.now() + later, lambda: happened.append((clock.now(), f"end {index}")))

        for index, (when, later) in enumerate(entries):
            clock.call_at(EPOCH_SECONDS + when, partial(begin, index, later))
        for stride in strides:
            clock.advance(stride)
        return [*happened, (clock.now(), "now")]

    assert story([first, second]) == story([first + second])


def test_a_moment_in_the_past_is_due_at_once() -> None:
    """An entry for a moment that has passed happens with the next move, and time does not go back for it."""
    clock, happened = VirtualClock(), []
    clock.call_at(EPOCH_SECONDS - 10, lambda: happened.append(clock.now()))
    assert clock.next_due() == EPOCH_SECONDS - 10
    clock.run_due()
    assert happened == [EPOCH_SECONDS]
    assert clock.next_due() is None


def test_next_due_skips_what_was_cancelled() -> None:
    """The next moment is that of the first entry that still will happen."""
    clock = VirtualClock()
    cancelled = clock.call_at(EPOCH_SECONDS + 1, nothing)
    clock.call_at(EPOCH_SECONDS + 2, nothing)
    cancelled.cancel()
    assert clock.next_due() == EPOCH_SECONDS + 2


def test_an_agenda_lets_go_of_what_was_cancelled() -> None:
    """However much is planned and cancelled again, it takes no more room than what is still to come, and that comes."""
    clock, happened = VirtualClock(), list[int]()
    for number in range(4_000):
        entry = clock.call_at(EPOCH_SECONDS + 5_000 - number, happened.append, number)
        if number % 20:
            entry.cancel()
        assert len(clock._agenda) <= 1_001
    clock.advance(5_000)
    assert happened == list(range(0, 4_000, 20))[::-1]


def test_who_carries_the_clock_is_told_of_entries() -> None:
    """Each new entry calls `changed`, so that a carrier that sleeps can wake earlier."""
    clock, told = VirtualClock(), []
    clock.changed = lambda: told.append(clock.next_due())
    clock.call_at(EPOCH_SECONDS + 2, nothing)
    clock.call_at(EPOCH_SECONDS + 1, nothing)
    assert told == [EPOCH_SECONDS + 2, EPOCH_SECONDS + 1]


def test_time_does_not_go_back() -> None:
    """A negative stride or sleep moves nothing."""
    clock = VirtualClock()
    clock.advance(-5)
    clock.sleep(-5)
    assert clock.now() == EPOCH_SECONDS


# Who waits


@pytest.mark.parametrize("backend", BACKENDS)
@given(st.lists(st.lists(st.tuples(seconds, st.integers(0, 3)), min_size=1, max_size=4), min_size=1, max_size=6))
def test_async_waiters_wake_at_their_deadlines(backend: str, tasks: list[list[tuple[int, int]]]) -> None:
    """Whatever the order of the tasks and however long each dawdles, each wakes at its own time, the earliest first."""
    clock = VirtualClock()
    woken: list[float] = []

    async def nap(naps: list[tuple[int, int]]) -> None:
        deadline = clock.now()
        for length, dawdling in naps:
            await clock.sleep_async(length)
            deadline += length
            assert clock.now() == deadline
            woken.append(deadline)
            for _ in range(dawdling):
                await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for naps in tasks:
                group.start_soon(nap, naps)

    anyio.run(main, backend=backend)
    assert woken == sorted(woken)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_earliest_wakes_first_though_all_are_ready_to_move_the_clock(backend: str) -> None:
    """Of tasks that came in the order of falling deadlines, none overtakes one with an earlier deadline."""
    clock, woken = VirtualClock(), []

    async def nap(length: int) -> None:
        await clock.sleep_async(length)
        woken.append(length)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for length in (4, 3, 2, 1):
                group.start_soon(nap, length)

    anyio.run(main, backend=backend)
    assert woken == [1, 2, 3, 4]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cancelled_waiter_leaves_nothing_behind(backend: str) -> None:
    """After the task of a waiter was cancelled, nothing is due any more."""
    clock = VirtualClock()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(clock.sleep_async, 5)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert (clock.next_due(), clock.now()) == (None, EPOCH_SECONDS)


def test_what_is_due_happens_before_the_sleeper_wakes() -> None:
    """When a sleep returns, all that was due by its end has happened."""
    clock = VirtualClock()
    happened: list[int] = []
    for when in (3, 1, 2):
        clock.call_at(EPOCH_SECONDS + when, partial(happened.append, when))
    clock.sleep(2)
    assert happened == [1, 2]


# Waiting for ever


def test_waiting_beyond_the_ceiling_is_caught() -> None:
    """A wait beyond the ceiling raises ClockExhausted, which no `except Exception` can hold; advancing never does."""
    clock = VirtualClock(ceiling_seconds=100)
    clock.advance(1000)
    clock.sleep(60)
    with pytest.raises(ClockExhausted, match="120 seconds of virtual time were waited, more than the ceiling of 100"):
        clock.sleep(60)
    assert not issubclass(ClockExhausted, Exception)


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_async_beyond_the_ceiling_is_caught(backend: str) -> None:
    """An endless wait of async code raises ClockExhausted as well."""
    with pytest.raises(ClockExhausted):
        anyio.run(VirtualClock().sleep_async, float("inf"), backend=backend)


def test_reading_too_often_is_caught() -> None:
    """Reading one thing more often than allowed raises ClockExhausted, which says what was read."""
    clock = VirtualClock(max_reads=3)
    clock.count_read(3, lambda: "job 1")
    with pytest.raises(ClockExhausted, match="job 1 was read 3 times"):
        clock.count_read(4, lambda: "job 1")


# The machine's clock


def test_the_machine_clock_runs_as_fast_as_asked() -> None:
    """A sleep of many seconds takes few of the machine's when the clock is fast, and time has passed after it."""
    clock = SystemClock(speed=1e9)
    began = clock.now()
    clock.sleep(1000)
    anyio.run(clock.sleep_async, 1000)
    assert clock.now() >= began + 2000
    assert clock.real_seconds(1e9) == 1


def test_the_machine_clock_never_finds_reading_too_much() -> None:
    """A live server may be polled for ever."""
    SystemClock().count_read(10**9, lambda: "job 1")


def test_the_machine_clock_can_skip() -> None:
    """Skipping does what fell due in the skipped time, leaves what did not, and tells the carrier."""
    clock, happened, told = SystemClock(), [], []
    clock.call_at(clock.now() + 1000, lambda: happened.append(1000))
    clock.call_at(clock.now() + 100_000, lambda: happened.append(100_000))
    clock.changed = lambda: told.append(True)
    began = clock.now()
    clock.advance(2000)
    assert happened == [1000]
    assert clock.now() >= began + 2000
    assert told == [True]


def test_a_clock_must_say_how_it_waits() -> None:
    """The base class tells no time and waits for nothing."""
    clock = Clock()
    for act in (clock.now, lambda: clock.sleep(1), lambda: clock.advance(1), lambda: anyio.run(clock.sleep_async, 1)):
        with pytest.raises(NotImplementedError):
            act()
