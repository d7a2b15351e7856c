"""A result file is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import Fault
from understudy.wire import Reply


@dataclass(frozen=True)
class CorruptFile(Fault):
    """A result file begins as it should, has the right length, and is nothing but zeros from its middle on."""

    moments = ("file",)
    on = ("assets",)

    def answer(self, reply: Reply, now: float) -> Reply:
        half = len(reply.body) // 2
        return replace(reply, body=reply.body[:half] + bytes(len(reply.body) - half))
