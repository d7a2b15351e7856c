"""The answer is late: it comes after the request was done, and after a while."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Outcome, Reply, Wait


@dataclass(frozen=True)
class Delay(Fault):
    """The answer comes after a while; whatever was asked for is done at once.

    Attributes:
        seconds: How long it takes.
    """

    moments = ("reply",)
    on = ANSWERED

    seconds: float = 20.0

    def answer(self, reply: Reply, now: float) -> Outcome:
        return Wait(now + self.seconds, lambda: reply)
