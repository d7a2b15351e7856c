"""The body comes a few bytes at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply, Transmission


@dataclass(frozen=True)
class Dribble(Fault):
    """Each few bytes of the body take their time, so that no single read waits for long.

    Attributes:
        chunk_bytes: How many bytes come at a time.
        pause_seconds: How long each of them takes.
    """

    moments = ("body",)
    on = ANSWERED

    chunk_bytes: int = 16
    pause_seconds: float = 5.0

    def answer(self, reply: Reply, now: float) -> Reply:
        usual = reply.transmission or Transmission()
        transmission = usual._replace(chunk_bytes=self.chunk_bytes, pause_seconds=self.pause_seconds)
        return replace(reply, transmission=transmission)
