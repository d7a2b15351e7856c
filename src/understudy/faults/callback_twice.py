"""A callback is delivered twice."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackTwice(Fault):
    """The same callback is sent again, though it was received.

    Attributes:
        after_seconds: How long after the first.
    """

    moments = ("delivery",)
    on = ("callback",)

    after_seconds: float = 1.0

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(delivery), Shipment(delivery, self.after_seconds, beside=True))
