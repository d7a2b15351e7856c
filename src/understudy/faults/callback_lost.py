"""A callback is lost: the provider believes that it was delivered."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackLost(Fault):
    """Nothing is sent, and nothing is tried again."""

    moments = ("delivery",)
    on = ("callback",)

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return ()
