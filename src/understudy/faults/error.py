"""The provider answers one of its contract's named errors."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Answered, retry_after


@dataclass(frozen=True)
class Error(Fault):
    """A named error is answered, and nothing is committed.

    Attributes:
        error: Its name in the contract.
        retry_after_seconds: What its Retry-After asks for; without one where it is below 0.
        retry_after_date: Whether it asks for that as an HTTP date, and not as seconds.
    """

    moments = ("before commit",)
    on = (*ANSWERED, "events")

    error: str = "serverError"
    retry_after_seconds: float = -1.0
    retry_after_date: bool = False

    def errors(self) -> tuple[str, ...]:
        return (self.error,)

    def instead(self, now: float) -> None:
        seconds = self.retry_after_seconds
        if seconds < 0:
            raise Answered(self.error)
        raise Answered(self.error, [retry_after("date" if self.retry_after_date else "seconds", seconds, now)])
