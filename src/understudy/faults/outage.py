"""The provider is down for a while: this connection is cut, and the next ones are refused."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Severed


@dataclass(frozen=True)
class Outage(Fault):
    """Nobody listens for a while, and nothing is committed; a live server is down for all its providers.

    Attributes:
        seconds: For how long.
    """

    moments = ("before commit",)
    on = (*ANSWERED, "events")

    seconds: float = 30.0

    def instead(self, now: float) -> Severed:
        return Severed(down_until=now + self.seconds)
