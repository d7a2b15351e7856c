"""A stream of events is cut in the middle of a frame."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.wire import Stream


@dataclass(frozen=True)
class StreamDrops(Fault):
    """Half of a frame is sent, and then the connection is closed."""

    moments = ("stream",)
    on = ("events",)

    def tap(self, stream: Stream, frame: bytes) -> tuple[bytes, ...]:
        stream.queue(frame[: len(frame) // 2])
        stream.end(broken=True)
        return ()
