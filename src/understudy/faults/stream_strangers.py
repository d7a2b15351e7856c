"""A stream of events has others in it."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import Fault
from understudy.wire import Stream


@dataclass(frozen=True)
class StreamStrangers(Fault):
    """Each event comes after one that no document knows, and one with no data."""

    moments = ("stream",)
    on = ("events",)

    def tap(self, stream: Stream, frame: bytes) -> tuple[bytes, ...]:
        return (b'event: unheard_of\ndata: {"since": "today"}\n\n', b"event: unheard_of\n\n", frame)
