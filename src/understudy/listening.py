"""Following a job by a stream of events, without I/O: whom the events are about, and for how long to listen."""

from __future__ import annotations

from dataclasses import fields, replace
from types import TracebackType
from typing import Self

from understudy.clock import Clock
from understudy.errors import ClientError, ProviderError
from understudy.lifecycle import Job
from understudy.waits import GLANCE_SECONDS, SILENCE_SECONDS, Waiting


class Listening:
    """A stretch of a wait in which a stream is read; within it, an error of ours means that the job is polled instead.

    Args:
        waiting: The wait.
        clock: By which it is over when the stream was silent about the job for too long, whatever else it said.

    Attributes:
        patience: How long the stream may be silent altogether, in seconds. Listening ends so long before the deadline,
            or else one read could outlast it.
    """

    def __init__(self, waiting: Waiting, clock: Clock) -> None:
        self._waiting = waiting
        self._clock = clock
        self._heard_at = clock.now()
        self._closed = False
        self.patience = min(SILENCE_SECONDS, max(waiting.deadline - self._heard_at, 0.0) / 2)

    def look(self) -> None:
        """Look at the clock, as has to be done at whatever the stream says: a keep-alive keeps nothing alive for ever.

        Raises:
            ProviderError: It was long enough.
        """
        last = self._waiting.deadline - self.patience - GLANCE_SECONDS
        if self._clock.now() >= min(self._heard_at + SILENCE_SECONDS, last):
            raise ProviderError("the stream of events tells nothing of the job", job=self._waiting.job)

    def hear(self, told: Job | None) -> None:
        """Take what the stream has told; None is its end.

        Raises:
            ProviderError: It has ended.
        """
        if told is None:
            raise ProviderError("the stream of events ended before the job", job=self._waiting.job)
        if told.id == self._waiting.job.id:
            self._heard_at = self._clock.now()
            self._waiting.job, self._waiting.said = _laid_over(self._waiting.job, told), None

    def _tick(self) -> None:
        """Be on the agenda: a virtual clock goes nowhere for a keep-alive."""
        if not self._closed:  # the clock may be in other hands, and just about to do this
            self._entry = self._clock.call_at(self._clock.now() + GLANCE_SECONDS, self._tick)

    def __enter__(self) -> Self:
        self._tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._closed = True
        self._entry.cancel()
        if isinstance(error, ClientError):
            self._waiting.rest(self._clock.now(), 0.0, self._waiting.met(error))
        return isinstance(error, ClientError)


def _laid_over(known: Job, told: Job) -> Job:
    """Return a job with what was told of it over what was known."""
    facts = {field.name: getattr(told, field.name) for field in fields(told)}
    return replace(known, **{name: fact for name, fact in facts.items() if fact not in (None, ())})
