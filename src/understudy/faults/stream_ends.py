"""A stream of events ends, and nobody says why."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.wire import Stream


@dataclass(frozen=True)
class StreamEnds(Fault):
    """The stream ends properly, in place of the event."""

    moments = ("stream",)
    on = ("events",)

    def tap(self, stream: Stream, frame: bytes) -> tuple[bytes, ...]:
        stream.end()
        return ()
