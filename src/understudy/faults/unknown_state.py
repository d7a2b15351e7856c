"""A job is in a state for a while that no document knows."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault, unheard_of
from understudy.lifecycle import Json, State, Step
from understudy.plan import Plan


@dataclass(frozen=True)
class UnknownState(Fault):
    """Before its end a job has a state word that nobody has heard of.

    Attributes:
        seconds: For how long.
    """

    moments = ("job",)
    on = ("create",)

    seconds: float = 10.0

    def plan(self, plan: Plan, word: Json) -> Plan:
        *steps, last = plan.timeline or ()
        state = steps[-1].state if steps else State.QUEUED
        strange = Step(state, unheard_of(word), self.seconds)
        return plan._replace(timeline=(*steps, strange, last))
