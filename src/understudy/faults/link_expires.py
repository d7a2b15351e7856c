"""The links to result files go dead soon."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.lifecycle import Json
from understudy.plan import Plan


@dataclass(frozen=True)
class LinkExpires(Fault):
    """A link to a result is good for a short time; a renewed one for as long as the contract says.

    Attributes:
        seconds: How long, from the end of the job.
    """

    moments = ("file",)
    on = ("create",)

    seconds: float = 0.0

    def plan(self, plan: Plan, word: Json) -> Plan:
        return plan._replace(link_lifetime_seconds=self.seconds)
