"""The body is no JSON: its second half is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply


@dataclass(frozen=True)
class MalformedJson(Fault):
    """Half of the body is sent as if it were all of it."""

    moments = ("reply",)
    on = ANSWERED

    def answer(self, reply: Reply, now: float) -> Reply:
        return replace(reply, body=reply.body[: len(reply.body) // 2])
