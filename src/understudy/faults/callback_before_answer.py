"""A callback comes before the create is answered."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.lifecycle import Json
from understudy.plan import Plan
from understudy.wire import Reply, Wait


@dataclass(frozen=True)
class CallbackBeforeAnswer(Fault):
    """A job is done at once, its callback sent at once, and its create answered after a while.

    Attributes:
        seconds: How long the answer takes.
    """

    moments = ("delivery",)
    on = ("create",)

    seconds: float = 1.0

    def plan(self, plan: Plan, word: Json) -> Plan:
        return plan._replace(timeline=(plan.timeline or ())[-1:])

    def answer(self, reply: Reply, now: float) -> Wait:
        return Wait(now + self.seconds, lambda: reply)
