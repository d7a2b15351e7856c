"""The connection is reset before the request is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Severed


@dataclass(frozen=True)
class ResetBeforeCommit(Fault):
    """The connection is reset, and nothing was committed; the client cannot know that."""

    moments = ("before commit",)
    on = (*ANSWERED, "events")

    def instead(self, now: float) -> Severed:
        return Severed()
