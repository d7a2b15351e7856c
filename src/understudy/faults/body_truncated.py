"""The connection is closed in the middle of the body."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.faults.fault import ANSWERED, Fault
from understudy.wire import Reply, Transmission


@dataclass(frozen=True)
class BodyTruncated(Fault):
    """The connection is closed when a part of the body has been sent.

    Attributes:
        sent_share: How much of the body is sent, from 0 to 1.
    """

    moments = ("body",)
    on = ANSWERED

    sent_share: float = 0.5

    def answer(self, reply: Reply, now: float) -> Reply:
        sent_bytes = int(len(reply.body) * self.sent_share)
        transmission = (reply.transmission or Transmission())._replace(sent_bytes=sent_bytes)
        return replace(reply, transmission=transmission)
