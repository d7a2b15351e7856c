"""Virtual time for code under test: what waits moves a virtual clock, and goes on at once.

Three rules of this file. It is the thread that asked for it whose time is virtual, with the event loops that run in it,
and no other's. Python's own machinery and pytest's keep the real time, or their locks and durations would go wrong.
And whatever was imported by name is found where it is: the time must not be a matter of how a module was written.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from understudy.clock import CEILING_SECONDS, Ceiling, VirtualClock
from understudy.errors import ClockExhausted
from understudy.virtual_loop import Peer, in_virtual_time

# So long a thread that sleeps lets others finish before it looks again, in real seconds.
_LOOK_SECONDS = 0.001

# Who asks for the time and gets the real one, beside the standard library.
_PYTEST: Final = frozenset({"_pytest", "pytest", "pluggy", "xdist", "execnet", "coverage", "hypothesis"})
_MACHINERY: Final = sys.stdlib_module_names | _PYTEST


class VirtualTime:
    """The time of one thread, by a virtual clock.

    Args:
        clock: The clock, which waits move.
        ceiling_seconds: How much may be waited in all before a wait raises ClockExhausted.
        peers: Live servers on this clock.
        after_step: Called whenever something that was due has happened in a wait.

    Attributes:
        clock: The clock.
        peers: Who else acts by it.
    """

    def __init__(
        self, clock: VirtualClock, *, ceiling_seconds: float, peers: tuple[Peer, ...], after_step: Callable[[], None]
    ) -> None:
        self.peers = peers
        self._after_step = after_step
        self.clock = clock
        self._ceiling = Ceiling(ceiling_seconds)
        self._began = clock.now()
        self._monotonic: float = _REAL["monotonic"]()

    def time(self) -> float:
        """Return the time in unix seconds."""
        return self.clock.now()

    def monotonic(self) -> float:
        """Return the time as `time.monotonic` counts it: from the real one on, when this began."""
        return self._monotonic_at(self.clock.now())

    def moment_of(self, monotonic: float) -> float:
        """Return the first moment of the clock at which `monotonic` has come to a value."""
        when = self._began + (monotonic - self._monotonic)
        while self._monotonic_at(when) < monotonic:  # the numbers of the clock are large, and so not as fine
            when = math.nextafter(when, math.inf)
        return when

    def _monotonic_at(self, when: float) -> float:
        return self._monotonic + (when - self._began)

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass, and what is due in them happen, in order."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._ceiling.count(seconds)
        until = self.clock.now() + seconds
        while (due := self.clock.next_due()) is not None and due <= until:
            self.clock.step()
            self._after_step()
            while any(peer.busy() for peer in self.peers):
                _REAL["sleep"](_LOOK_SECONDS)
        self.clock.advance(until - self.clock.now())

    def step(self) -> None:
        """Go to what is due next, and do it."""
        before = self.clock.now()
        if not self.clock.step():
            raise ClockExhausted(
                "the event loop waits, and nothing is planned that would wake it.\n"
                "  What it waits for never comes: give the wait a timeout, or set what it waits for."
            )
        self._ceiling.count(self.clock.now() - before)
        self._after_step()


def _nothing() -> None:
    """Nobody wants to know."""


@contextmanager
def virtual_time(
    clock: VirtualClock,
    *,
    ceiling_seconds: float = CEILING_SECONDS,
    peers: tuple[Peer, ...] = (),
    after_step: Callable[[], None] = _nothing,
) -> Iterator[VirtualTime]:
    """Give this thread, and the event loops that run in it, the time of a virtual clock.

    `time.sleep` moves the clock and returns at once, and so does what waits by a timer of an event loop:
    `asyncio.sleep`, anyio's, timeouts. `time.time`, `time.monotonic`, their `_ns` forms and `loop.time` follow.

    Not covered: `datetime.now`, `time.perf_counter`, waits for locks, events and other threads, functions that were
    bound as default arguments, uvloop, trio, and other processes.

    Args:
        clock: The clock, which a fake acts by as well.
        ceiling_seconds: How much may be waited in all before a wait raises ClockExhausted.
        peers: Live servers on this clock.
        after_step: Called in this thread whenever something that was due has happened in a wait.

    Yields:
        The virtual time.

    Example:
        >>> import time, understudy
        >>> from understudy.virtual_time import virtual_time
        >>> fake = understudy.Fake("kie")
        >>> with virtual_time(fake.clock):
        ...     began = time.monotonic()
        ...     time.sleep(600)
        ...     round(time.monotonic() - began)
        600
    """
    thread = threading.get_ident()
    before = _by_thread.get(thread)
    with our_functions:
        _by_thread[thread] = here = VirtualTime(
            clock, ceiling_seconds=ceiling_seconds, peers=peers, after_step=after_step
        )
        try:
            yield here
        finally:
            if before is None:
                del _by_thread[thread]
            else:
                _by_thread[thread] = before


def is_virtual() -> bool:
    """Say whether this thread has a virtual time."""
    return threading.get_ident() in _by_thread


_REAL: Final[Mapping[str, Callable[..., Any]]] = {
    name: getattr(time, name) for name in ("sleep", "time", "time_ns", "monotonic", "monotonic_ns")
}
_by_thread: dict[int, VirtualTime] = {}


def _here() -> VirtualTime | None:
    """Return the virtual time of whoever has called our caller; None where the real one counts."""
    here = _by_thread.get(threading.get_ident())
    return None if here is None or _is_machinery(sys._getframe(2).f_globals.get("__name__", "")) else here


def _is_machinery(module: str) -> bool:
    return module.partition(".")[0] in _MACHINERY


def _sleep(seconds: float, /) -> None:
    here = _here()
    _REAL["sleep"](seconds) if here is None else here.sleep(seconds)


def _time() -> float:
    here = _here()
    return _REAL["time"]() if here is None else here.time()


def _time_ns() -> int:
    here = _here()
    return _REAL["time_ns"]() if here is None else int(here.time() * 1e9)


def _monotonic() -> float:
    here = _here()
    return _REAL["monotonic"]() if here is None else here.monotonic()


def _monotonic_ns() -> int:
    here = _here()
    return _REAL["monotonic_ns"]() if here is None else int(here.monotonic() * 1e9)


_OURS: Final[Mapping[str, Callable[..., Any]]] = {
    "sleep": _sleep,
    "time": _time,
    "time_ns": _time_ns,
    "monotonic": _monotonic,
    "monotonic_ns": _monotonic_ns,
}
_BY_ID: Final = {id(_REAL[name]): ours for name, ours in _OURS.items()}
_IDS: Final = frozenset(_BY_ID)
_run_forever_in_real_time = asyncio.BaseEventLoop.run_forever


def _run_forever(loop: asyncio.BaseEventLoop) -> None:
    """Run an event loop, by the virtual time of its thread if that has one."""
    here = _by_thread.get(threading.get_ident())
    if here is None:
        _run_forever_in_real_time(loop)
    else:
        with in_virtual_time(loop, here):
            _run_forever_in_real_time(loop)


class OurFunctions:
    """Our functions in the places of the real ones, wherever those were imported to by name, while anybody is inside.

    What is imported meanwhile by name gets ours, which give the real time to whoever has no other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._found: list[tuple[Any, str, Any, Any]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._found = list(_found())
                for owner, name, _, ours in self._found:
                    setattr(owner, name, ours)

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for owner, name, real, _ in self._found:
                    setattr(owner, name, real)


#: To look through all modules takes a while; whoever needs a virtual time many times in a row stays inside meanwhile.
our_functions: Final = OurFunctions()


def _found() -> Iterator[tuple[Any, str, Any, Any]]:
    """Return where the real functions are: the owner, the name, the function, and what is to be in its place."""
    yield asyncio.BaseEventLoop, "run_forever", asyncio.BaseEventLoop.run_forever, _run_forever
    for module in tuple(sys.modules.values()):
        if module is time or not _is_machinery(getattr(module, "__name__", "")):
            names = vars(module)
            # there are thousands of names, and hardly one of them is of interest
            if not _IDS.isdisjoint(map(id, tuple(names.values()))):
                members = tuple(names.items())
                yield from ((module, name, value, _BY_ID[id(value)]) for name, value in members if id(value) in _IDS)
