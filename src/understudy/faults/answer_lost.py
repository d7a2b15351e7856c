"""The answer is lost: the request was done, and the connection is reset before it is told."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply, Severed


@dataclass(frozen=True)
class AnswerLost(Fault):
    """The connection is reset after the request was done: a job may be there, and be charged for."""

    moments = ("after commit",)
    on = ANSWERED

    def answer(self, reply: Reply, now: float) -> Severed:
        return Severed()
