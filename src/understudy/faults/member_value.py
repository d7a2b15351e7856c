"""One member of the answer has another value than it should have."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.callback import Delivery
from understudy.faults.fault import ANSWERED, Compose, Fault, Shipment, changed
from understudy.lifecycle import Json
from understudy.wire import Reply


@dataclass(frozen=True)
class MemberValue(Fault):
    """A member has another value; an answer that lacks the member stays as it is.

    Attributes:
        pointer: Where it is, as a JSON pointer.
        value: What it is then: text.
    """

    moments = ("reply", "delivery")
    on = (*ANSWERED, "callback")

    pointer: str = ""
    value: str = ""

    def answer(self, reply: Reply, now: float) -> Reply:
        return replace(reply, body=changed(reply.body, self.pointer, self._set))

    def ship(self, delivery: Delivery, compose: Compose) -> tuple[Shipment, ...]:
        return (Shipment(delivery._replace(body=changed(delivery.body, self.pointer, self._set))),)

    def _set(self, holder: dict[str, Json], name: str) -> None:
        holder[name] = self.value
