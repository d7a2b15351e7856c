"""An event loop in virtual time: a loop that has nothing to do moves the clock instead of waiting.

The next timer of the loop stands on the clock's agenda like everything else that is due, so that whoever moves the
clock, the loop or somebody else, things happen in their order. While a real socket, pipe or thread of the loop is at
work, the clock goes as the real one does: what is really at work comes first.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from understudy.clock import Entry, VirtualClock

# So long a loop waits for what is really at work before it looks again, in real seconds.
_SLICE_SECONDS = 0.01

# So long it waits for the rest of an answer that has begun to come, in real seconds: as long as TCP may hold it back.
_REST_SECONDS = 0.06

# So long it waits for somebody else where nothing is planned, in real seconds; then the wait counts as endless.
_PATIENCE_SECONDS = 1.0


class Peer(Protocol):
    """A live server on the same clock, whose work takes real time."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it listens."""

    def busy(self) -> bool:
        """Say whether it is at work: at an answer that does not wait for the clock, or at a callback."""

    def parked(self) -> int:
        """Return how many requests wait for nothing but the clock."""

    def minded(self, waiting: Callable[[], int]) -> AbstractContextManager[None]:
        """Let an event loop move the clock for those requests that wait in it; it says how many."""


class Time(Protocol):
    """The virtual time of a thread; see `understudy.virtual_time.VirtualTime`."""

    clock: VirtualClock
    peers: tuple[Peer, ...]

    def monotonic(self) -> float:
        """Return what `loop.time` is to return."""

    def moment_of(self, monotonic: float) -> float:
        """Return the first moment of the clock at which `monotonic` has come to a value."""

    def step(self) -> None:
        """Go to what is due next, and do it."""


@contextmanager
def in_virtual_time(loop: Any, time: Time) -> Iterator[None]:
    """Have an event loop run by a virtual time.

    Args:
        loop: One of asyncio's own.
        time: The virtual time of this thread.
    """
    sockets, real = _Sockets({port for peer in time.peers for port in peer.ports}), loop._selector
    selector = _Selector(loop, real, time, sockets)
    loop.time = time.monotonic
    loop.run_in_executor = selector.run_in_executor
    loop._selector = selector
    try:
        with sockets.watched(), ExitStack() as stack:
            for peer in time.peers:
                stack.enter_context(peer.minded(sockets.waiting))
            yield
    finally:
        selector.leave()
        loop._selector = real
        del loop.time, loop.run_in_executor


class _Selector:
    """Stands in for the selector of a loop, which asks it for events whenever it has nothing else to do."""

    def __init__(self, loop: Any, real: selectors.BaseSelector, time: Time, sockets: _Sockets) -> None:
        self._loop = loop
        self._real = real
        self._time = time
        self._sockets = sockets
        self._timer_at = float("inf")
        self._timer = Entry((self._timer_at, 0, _nothing))
        self._jobs = 0
        self._submit: Callable[..., asyncio.Future[Any]] = loop.run_in_executor
        self._more_may_come = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run_in_executor(self, *args: Any) -> asyncio.Future[Any]:
        """Run a function in a thread, and take note of it."""
        future = self._submit(*args)
        self._jobs += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self._jobs -= 1

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return the events that there are; where there are none and nothing is at work, move the clock."""
        self._plan()
        events = self._looked(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self._at_work():
            events = self._looked(_SLICE_SECONDS)
            if not events:
                self._time.clock.advance(_SLICE_SECONDS)
            return events
        if self._more_may_come:
            self._more_may_come = False
            return self._looked(_REST_SECONDS)
        if self._time.clock.next_due() is None:
            events = self._looked(_PATIENCE_SECONDS)
            if events:
                return events
        self._time.step()
        return self._looked(0)

    def _looked(self, seconds: float) -> list[Any]:
        events = self._real.select(seconds)
        for key, _ in events:
            self._more_may_come |= self._sockets.heard(key.fd)
        return events

    def _plan(self) -> None:
        """Put the next timer of the loop on the agenda, in place of the one that was next before."""
        timers = self._loop._scheduled
        when = timers[0].when() if timers else float("inf")
        if when != self._timer_at or self._timer.done:
            self.leave()
            self._timer_at = when
            if timers:
                self._timer = self._time.clock.call_at(self._time.moment_of(when), _nothing)

    def leave(self) -> None:
        """Take the loop's timer from the agenda."""
        self._timer.cancel()

    def _at_work(self) -> bool:
        """Say whether something real is under way that is to wake the loop."""
        keys = [key for fd, key in self._real.get_map().items() if fd != self._loop._ssock.fileno()]
        writing = any(key.events & selectors.EVENT_WRITE for key in keys)
        asking = sum(self._sockets.asks(key.fd) for key in keys)
        parked = sum(peer.parked() for peer in self._time.peers)
        peers = any(peer.busy() for peer in self._time.peers)
        return bool(writing or asking > parked or self._jobs or peers or _has_busy_thread(self._loop))


def _has_busy_thread(loop: object) -> bool:
    """Say whether a thread works for a loop that its executor does not know: anyio's, and who waits for a process."""
    return any(
        "waitpid-" in thread.name
        or (getattr(thread, "loop", None) is loop and thread not in getattr(thread, "idle_workers", ()))
        for thread in threading.enumerate()
    )


def _nothing() -> None:
    """A timer's entry does nothing: that its moment has come is all there is to it."""


class _Sockets:
    """Which sockets of a thread have asked and wait for an answer, as seen from what is called on them.

    Args:
        known: Ports of servers that say themselves when they are done.
    """

    def __init__(self, known: set[int]) -> None:
        self._known = known
        self._asking: set[int] = set()
        self._accepted: set[int] = set()  # who answers waits for nothing
        self._told: set[int] = set()  # connected to a known port
        self._thread = threading.get_ident()

    def asks(self, fd: int) -> bool:
        """Say whether what is open there waits for something that is under way; all but sockets always does."""
        return fd in self._asking or not stat.S_ISSOCK(os.fstat(fd).st_mode)

    def waiting(self) -> int:
        """Return how many requests of the loop wait for servers of ours; called in their threads."""
        return len(self._asking & self._told)

    def heard(self, fd: int) -> bool:
        """Take note that something has come; say whether more of it may come, and nobody would tell."""
        if fd not in self._asking:
            return False
        self._asking.discard(fd)
        return fd not in self._told

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at what this thread does with sockets."""
        seen = {
            "connect": self._connecting,
            "send": self._sending,
            "sendmsg": self._sending,
            "accept": self._accepting,
            "close": self._closing,
        }
        before = {name: vars(socket.socket).get(name) for name in seen}
        for name, wrap in seen.items():
            setattr(socket.socket, name, wrap(getattr(socket.socket, name)))
        try:
            yield
        finally:
            for name, real in before.items():
                if real is None:  # it was inherited
                    delattr(socket.socket, name)
                else:
                    setattr(socket.socket, name, real)

    def _connecting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(one: socket.socket, address: Any) -> Any:
            if threading.get_ident() == self._thread:
                self._forget(one)
                if isinstance(address, tuple) and address[1] in self._known:
                    self._told.add(one.fileno())
            return real(one, address)

        return connect

    def _sending(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def send(one: socket.socket, *args: Any) -> Any:
            mine = threading.get_ident() == self._thread and one.gettimeout() == 0  # and not of who blocks the loop
            if mine and one.fileno() not in self._accepted:
                self._asking.add(one.fileno())
            return real(one, *args)

        return send

    def _accepting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def accept(listener: socket.socket) -> Any:
            one, address = real(listener)
            if threading.get_ident() == self._thread:
                self._forget(one)
                self._accepted.add(one.fileno())
            return one, address

        return accept

    def _closing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def close(one: socket.socket) -> Any:
            if threading.get_ident() == self._thread:
                self._forget(one)
            return real(one)

        return close

    def _forget(self, one: socket.socket) -> None:
        """Forget what stands at this number: it is given again."""
        for some in (self._asking, self._accepted, self._told):
            some.discard(one.fileno())
