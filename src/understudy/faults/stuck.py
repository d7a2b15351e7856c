"""A job never ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import Fault
from understudy.lifecycle import Json, State, Step
from understudy.plan import Plan


@dataclass(frozen=True)
class Stuck(Fault):
    """A job goes as far as the step before its last, and stays there for ever."""

    moments = ("job",)
    on = ("create",)

    def plan(self, plan: Plan, word: Json) -> Plan:
        *steps, _ = plan.timeline or ()
        last = steps.pop() if steps else Step(State.QUEUED)
        return plan._replace(timeline=(*steps, replace(last, seconds=None, reads=None)))
