"""A callback tells of another job."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackOtherJob(Fault):
    """It has the id of a job that nobody has made; all else is as it should be."""

    moments = ("delivery",)
    on = ("callback",)

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(compose(strange=True)),)
