"""The body of a callback was cut off."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackTruncated(Fault):
    """Half of the body is sent as if it were all of it."""

    moments = ("delivery",)
    on = ("callback",)

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(delivery._replace(body=delivery.body[: len(delivery.body) // 2])),)
