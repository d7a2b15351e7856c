"""Callbacks overtake each other."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackReordered(Fault):
    """A callback is held back, and those that follow it are not.

    Attributes:
        seconds: For how long.
    """

    moments = ("delivery",)
    on = ("callback",)

    seconds: float = 60.0

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(delivery, self.seconds, beside=True),)
