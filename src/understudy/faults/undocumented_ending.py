"""A job ends in a state that no document knows."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault, unheard_of
from understudy.lifecycle import Json, State, Step
from understudy.plan import Plan


@dataclass(frozen=True)
class UndocumentedEnding(Fault):
    """A job fails, under a state word that nobody has heard of."""

    moments = ("job",)
    on = ("create",)

    def plan(self, plan: Plan, word: Json) -> Plan:
        steps = (plan.timeline or ())[:-1]
        return plan._replace(timeline=(*steps, Step(State.FAILED, unheard_of(word))))
