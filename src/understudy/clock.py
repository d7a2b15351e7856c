"""The one clock: every wait and every timestamp of the project is read here.

Two rules of this file. Nothing else may call `time` or `asyncio.sleep` (the linter holds to that). And what is due
happens in the order in which it is due, one thing after another, before anybody who waits for a later moment wakes.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from understudy.errors import ClockExhausted

#: Where virtual time begins: 2026-01-01T00:00:00Z, in unix seconds.
EPOCH_SECONDS = 1767225600.0

#: How long code may wait in virtual time before the wait counts as endless, in seconds.
CEILING_SECONDS = 24 * 3600.0

#: How often one job may be read in virtual time before its reader counts as endless.
MAX_READS = 10_000

# An async waiter lets the other tasks run this many times after the clock was moved before it moves it on, so that
# whoever was just woken can say what it waits for next.
_TURNS = 8


# So much is left of an entry that is done: the moment and the number.
_DONE = 2

# So many entries an agenda may have before it is looked whether any are done.
_TIDY = 1_000


class Entry(list[Any]):
    """Something that is due: the moment, a number of its own on the agenda, the action, and what that is called with.

    It can be cancelled until then. A list is what `heapq` compares at once, and one object for each.
    """

    __slots__ = ()

    @property
    def done(self) -> bool:
        """Whether it has happened, or never will."""
        return len(self) == _DONE

    def cancel(self) -> None:
        """Make sure that the action never happens, and let go of what it would have been about."""
        del self[_DONE:]


class Clock:
    """What a clock has: the time, and an agenda of what is due when."""

    def __init__(self) -> None:
        self._agenda: list[Entry] = []
        self._tidy_at = _TIDY
        self._order = itertools.count()
        self._lock = threading.Lock()
        self.changed: Callable[[], None] = _nothing  # called when the next entry is due earlier than it was

    def now(self) -> float:
        """Return the time in unix seconds."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        raise NotImplementedError

    async def sleep_async(self, seconds: float) -> None:
        """Wait for that many seconds of this clock, and let other tasks run meanwhile."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Skip that many seconds, and do what falls due in them."""
        raise NotImplementedError

    def call_at(self, when: float, action: Callable[..., None], *arguments: Any) -> Entry:
        """Put an action on the agenda.

        Args:
            when: The moment, in unix seconds; one that is past is due at once.
            action: What is called.
            *arguments: What it is called with.

        Returns:
            The entry, which can be cancelled.
        """
        with self._lock:
            entry = Entry((when, next(self._order), action, *arguments))
            heapq.heappush(self._agenda, entry)
            is_next = self._agenda[0] is entry
            if len(self._agenda) > self._tidy_at:
                self._tidy()
        if is_next:
            self.changed()
        return entry

    def _tidy(self) -> None:
        """Let go of what was cancelled: its moment may be far away. Twice what is left will be looked through again."""
        self._agenda = [entry for entry in self._agenda if not entry.done]
        heapq.heapify(self._agenda)
        self._tidy_at = max(_TIDY, 2 * len(self._agenda))

    def count_read(self, reads: int, told: Callable[[], str]) -> None:
        """Take note that something was read; a clock may find that it was often enough.

        Args:
            reads: How many times by now.
            told: Says what was read, for the error.

        Raises:
            ClockExhausted: Whoever reads it will never get an end.
        """

    def next_due(self) -> float | None:
        """Return the moment of the next entry, or None when the agenda is empty."""
        with self._lock:
            while self._agenda and self._agenda[0].done:
                heapq.heappop(self._agenda)
            return self._agenda[0][0] if self._agenda else None

    def run_due(self) -> None:
        """Do everything that is due by now, in order."""
        until = self.now()
        while self._run_one(until):
            pass

    def _run_one(self, until: float) -> bool:
        """Do the next entry if it is due by `until`; say whether there was one."""
        with self._lock:
            while self._agenda and self._agenda[0].done:
                heapq.heappop(self._agenda)
            if not self._agenda or self._agenda[0][0] > until:
                return False
            entry = heapq.heappop(self._agenda)
        self._reach(entry[0])
        call = entry[_DONE:]  # whoever cancels it from now on comes too late
        entry.cancel()
        if call:
            call[0](*call[1:])
        return True

    def _reach(self, when: float) -> None:
        """Let `when` be the time, if time here can be set."""


class SystemClock(Clock):
    """The machine's clock, which may run faster.

    Args:
        speed: Seconds of this clock in one second of the machine; 1 by default.
    """

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__()
        self._speed = speed
        self._started = time.time()
        self._monotonic = time.monotonic()
        self._skipped = 0.0

    def now(self) -> float:
        return self._started + self._skipped + (time.monotonic() - self._monotonic) * self._speed

    def sleep(self, seconds: float) -> None:
        time.sleep(max(seconds, 0.0) / self._speed)

    async def sleep_async(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(max(seconds, 0.0) / self._speed)

    def real_seconds(self, seconds: float) -> float:
        """Return how long `seconds` of this clock take on the machine."""
        return seconds / self._speed

    def advance(self, seconds: float) -> None:
        until = self.now() + seconds
        while (due := self.next_due()) is not None and due <= until:
            self._skipped += max(due - self.now(), 0.0)  # what follows from an entry counts from its moment
            self.run_due()
        self._skipped += max(until - self.now(), 0.0)
        self.changed()


class Ceiling:
    """Counts what was waited in virtual time: more than so much has no end.

    Args:
        seconds: How much may be waited in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waited_seconds = 0.0

    def count(self, seconds: float) -> None:
        """Count a wait.

        Raises:
            ClockExhausted: It was more in all than may be.
        """
        self._waited_seconds += max(seconds, 0.0)
        if self._waited_seconds > self._seconds:
            raise ClockExhausted(
                f"{self._waited_seconds:,.0f} seconds of virtual time were waited, more than the ceiling of "
                f"{self._seconds:,.0f}.\n"
                "  Nothing that is planned will end this wait: give the loop a deadline, or raise ceiling_seconds."
            )


class VirtualClock(Clock):
    """A clock that moves when somebody waits, and only then.

    Args:
        start: Where time begins, in unix seconds.
        ceiling_seconds: How much may be waited in all before a wait raises ClockExhausted.
        max_reads: How often one job may be read before a read raises ClockExhausted.
    """

    def __init__(
        self,
        start: float = EPOCH_SECONDS,
        *,
        ceiling_seconds: float = CEILING_SECONDS,
        max_reads: int = MAX_READS,
    ) -> None:
        super().__init__()
        self._now = start
        self._ceiling = Ceiling(ceiling_seconds)
        self._max_reads = max_reads
        self._moves = 0

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move time on, and do what falls due on the way, in order.

        Args:
            seconds: How far; it does not count as waiting.
        """
        self._run_until(self._now + max(seconds, 0.0))

    def sleep(self, seconds: float) -> None:
        self._ceiling.count(seconds)
        self.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self._ceiling.count(seconds)
        wake = self.call_at(self._now + max(seconds, 0.0), _nothing)
        try:
            while not wake.done:
                await self.settle(lambda: wake.done)
                if not wake.done:
                    self.step()
        finally:
            wake.cancel()  # whoever was cancelled waits for nothing any more

    def count_read(self, reads: int, told: Callable[[], str]) -> None:
        if reads > self._max_reads:
            raise ClockExhausted(
                f"{told()} was read {self._max_reads:,} times.\n"
                "  A loop polls for ever: give it a deadline, or let the job go on."
            )

    def step(self) -> bool:
        """Go to the next entry of the agenda and do it; say whether there was one."""
        return self._run_one(float("inf"))

    async def settle(self, ready: Callable[[], bool]) -> None:
        """Let the other tasks run, until `ready` holds or none of them has moved the clock for a while."""
        import anyio.lowlevel

        turns = 0
        while turns < _TURNS and not ready():
            moves = self._moves
            await anyio.lowlevel.checkpoint()
            turns = turns + 1 if moves == self._moves else 0

    def _run_until(self, when: float) -> None:
        while self._run_one(when):
            pass
        self._reach(when)

    def _reach(self, when: float) -> None:
        self._now = max(self._now, when)
        self._moves += 1


def _nothing() -> None:
    """A waiter's entry does nothing: that its moment has come is all there is to it."""
