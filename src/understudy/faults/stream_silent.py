"""A stream of events has nothing but keep-alives."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.wire import Stream


@dataclass(frozen=True)
class StreamSilent(Fault):
    """The event is never sent."""

    moments = ("stream",)
    on = ("events",)

    def tap(self, stream: Stream, frame: bytes) -> tuple[bytes, ...]:
        return ()
