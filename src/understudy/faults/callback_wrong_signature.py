"""A callback has a signature that was made with another key."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.callback import Delivery
from understudy.faults.fault import Compose, Fault, Shipment


@dataclass(frozen=True)
class CallbackWrongSignature(Fault):
    """The signature is wrong, where the contract has callbacks signed."""

    moments = ("delivery",)
    on = ("callback",)

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(compose(forged=True)),)
