"""Status reads do not find a new job yet."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.lifecycle import Json
from understudy.plan import Plan


@dataclass(frozen=True)
class NotYetVisible(Fault):
    """For a while after its create the job's record is not there.

    Attributes:
        seconds: For how long.
    """

    moments = ("job",)
    on = ("create",)

    seconds: float = 5.0

    def plan(self, plan: Plan, word: Json) -> Plan:
        return plan._replace(visible_after_seconds=self.seconds)
