"""The answer has the right status and nothing in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply


@dataclass(frozen=True)
class EmptyBody(Fault):
    """The body is missing."""

    moments = ("reply",)
    on = ANSWERED

    def answer(self, reply: Reply, now: float) -> Reply:
        return replace(reply, body=b"")
