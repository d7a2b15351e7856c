"""A callback is as old as its timestamp says, and signed so."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackStale(Fault):
    """The timestamp is an old one, as in a callback that somebody has recorded and sends again.

    Attributes:
        age_seconds: How old.
    """

    moments = ("delivery",)
    on = ("callback",)

    age_seconds: float = 3600.0

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(compose(age_seconds=self.age_seconds)),)
