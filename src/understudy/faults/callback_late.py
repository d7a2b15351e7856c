"""A callback is late: whoever polls knows the news long since."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackLate(Fault):
    """A callback is sent after a while.

    Attributes:
        seconds: How long it takes.
    """

    moments = ("delivery",)
    on = ("callback",)

    seconds: float = 120.0

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(delivery, self.seconds),)
