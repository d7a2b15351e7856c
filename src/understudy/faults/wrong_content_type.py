"""The body is as it should be, and its content type says that it is something else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply


@dataclass(frozen=True)
class WrongContentType(Fault):
    """The content type is not that of the body.

    Attributes:
        media_type: What it says instead.
    """

    moments = ("reply",)
    on = ANSWERED

    media_type: str = "text/html; charset=utf-8"

    def answer(self, reply: Reply, now: float) -> Reply:
        others = [(name, value) for name, value in reply.headers if name != "content-type"]
        return replace(reply, headers=[("content-type", self.media_type), *others])
