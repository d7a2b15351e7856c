"""The pump: does what falls due on the clock of a live server, in its event loop, when it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from understudy.clock import CEILING_SECONDS, Ceiling, Clock, SystemClock, VirtualClock
from understudy.errors import ClockExhausted
from understudy.logbook import Logbook
from understudy.virtual_loop import Peer

# It does not beat faster than so, in real seconds: what falls due within a beat is done together.
_BEAT_SECONDS = 0.002

# So long somebody else may move a virtual clock before a request that waits for it does so itself, in real seconds.
_HURRY_SECONDS = 0.005

# The same where an event loop does, as soon as it gets to it.
_PATIENCE_SECONDS = 1.0


class Pump:
    """Does what falls due.

    Args:
        clock: The clock.
        server: The server that lives by it.
        log: Told of what goes wrong.
        after: Called when something has been done.
        stop: Stops the server.
    """

    def __init__(
        self, clock: Clock, server: Peer, log: Logbook, after: Callable[[], None], stop: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._server = server
        self._log = log
        self._after = after
        self._stop = stop
        self._due = asyncio.Event()  # something may be due earlier than it was thought
        self._shares = False
        self._minding: list[Callable[[], int]] = []
        self._ceiling = Ceiling(CEILING_SECONDS)

    def share(self) -> None:
        """Leave a virtual clock to who else moves it, but for a request that waits and has nobody else who does."""
        self._shares = True

    @contextmanager
    def minded(self, waiting: Callable[[], int]) -> Iterator[None]:
        """Let an event loop move the clock for those requests that wait in it; it says how many."""
        self._minding.append(waiting)
        try:
            yield
        finally:
            self._minding.remove(waiting)

    def wake(self) -> None:
        """Look again at what is due; called in the event loop."""
        self._due.set()

    async def run(self) -> None:
        """Do what falls due, until it is cancelled."""
        while True:
            self._due.clear()
            if not self._shares:  # or two threads would do what is due, and in no certain order
                with self._defects_told():
                    self._clock.run_due()
                self._after()
            try:
                async with asyncio.timeout(self._patience()):
                    await self._due.wait()
            except TimeoutError:
                self._step()

    def _patience(self) -> float | None:
        """Return in how many real seconds something falls due; None where nothing does by itself."""
        due = self._clock.next_due()
        if due is None:
            return None
        seconds = max(due - self._clock.now(), 0.0)
        if isinstance(self._clock, SystemClock):
            return max(self._clock.real_seconds(seconds), _BEAT_SECONDS) if seconds else 0.0
        if self._shares:
            parked, minded = self._server.parked(), sum(waiting() for waiting in tuple(self._minding))
            return None if not parked else _HURRY_SECONDS if parked > minded else _PATIENCE_SECONDS
        return None if seconds else 0.0

    def _step(self) -> None:
        """Go to what is due next, for a request that waits for it and has nobody else who does that."""
        if not isinstance(self._clock, VirtualClock) or self._server.busy() or not self._server.parked():
            return
        before = self._clock.now()
        with self._defects_told():
            self._clock.step()
        try:
            self._ceiling.count(self._clock.now() - before)
        except ClockExhausted as error:
            self._log.trouble(f"a request waits without end, and so the server stops: {error}")
            self._stop()

    @contextmanager
    def _defects_told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._log.defect(error, "on the clock")
