"""What faults have in common: where they strike, what they get to see, and what they may do.

A fault is a frozen dataclass. Its fields are its parameters, with their units in their names. What it leaves alone
happens as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, get_args

from understudy.callback import Delivery
from understudy.contract.codecs import encode_json, parse_json
from understudy.contract.loader import follow
from understudy.lifecycle import Json
from understudy.plan import Plan
from understudy.wire import Outcome, Reply, Stream

#: A part of `x-jobs` that is asked for by a request and answered with a body.
Answers = Literal[
    "create", "status", "result", "cancel", "delete", "list", "models", "files", "replies", "renew", "jwks", "assets"
]

#: Where a fault can strike: a part of `x-jobs`.
Part = Literal[Answers, "events", "callback"]

#: The parts that are asked for by a request and answered with a body.
ANSWERED: tuple[Answers, ...] = get_args(Answers)

#: When a fault strikes.
Moment = Literal["before commit", "job", "after commit", "reply", "body", "file", "delivery", "stream"]


class Compose(Protocol):
    """Composes a delivery anew, and not as it should be."""

    def __call__(self, *, age_seconds: float = 0.0, forged: bool = False, strange: bool = False) -> Delivery:
        """Return the delivery: from so long ago, signed with another key, or about a job that nobody has made."""


class Shipment(NamedTuple):
    """A delivery that is sent.

    Attributes:
        delivery: What is sent.
        after_seconds: When.
        beside: Whether it is sent beside the attempt that it was made from: nothing waits for it or follows from it.
    """

    delivery: Delivery
    after_seconds: float = 0.0
    beside: bool = False

    def after(self, other: Shipment) -> Shipment:
        """Return this as what another fault's shipment has turned into."""
        return Shipment(self.delivery, other.after_seconds + self.after_seconds, other.beside or self.beside)


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    Attributes:
        moments: When it strikes.
        on: Where it can strike; the first is where it does unless told otherwise.
    """

    moments: ClassVar[tuple[Moment, ...]]
    on: ClassVar[tuple[Part, ...]]

    def errors(self) -> tuple[str, ...]:
        """Return the named errors that it answers with: the contract has to have them."""
        return ()

    def instead(self, now: float) -> Outcome | None:
        """Answer before the request is looked at: nothing is committed. None lets it through.

        Args:
            now: The time, in unix seconds.

        Raises:
            Answered: With the named error to answer.
        """
        return None

    def plan(self, plan: Plan, word: Json) -> Plan:
        """Change how a new job goes.

        Args:
            plan: How it would go, with its timeline.
            word: One of the provider's state words; it tells of which JSON type they are.
        """
        return plan

    def answer(self, reply: Reply, now: float) -> Outcome:
        """Change the reply to a request that was done.

        Args:
            reply: The reply; others may hold it, so it is not to be changed.
            now: The time, in unix seconds.
        """
        return reply

    def ship(self, delivery: Delivery, compose: Compose) -> Sequence[Shipment]:
        """Change what is sent as one attempt of a callback.

        Args:
            delivery: What would be sent.
            compose: Composes it anew.

        Returns:
            What is sent. Where all of it goes beside the attempt, the provider believes that it was delivered.
        """
        return (Shipment(delivery),)

    def tap(self, stream: Stream, frame: bytes) -> Sequence[bytes]:
        """Change what a subscriber is sent.

        Args:
            stream: Perhaps to be ended.
            frame: The frame that would be queued.

        Returns:
            What is queued in its place.
        """
        return (frame,)


def unheard_of(word: Json) -> Json:
    """Return a state word that no provider has, of the same JSON type as one that it has."""
    return "unheard_of" if isinstance(word, str) else 99


def changed(body: bytes, pointer: str, change: Callable[[dict[str, Json], str], None]) -> bytes:
    """Return a JSON body with a member changed; one that lacks the member stays as it is.

    Args:
        body: The body.
        pointer: Where the member is.
        change: Given the object that holds it, and its name there.
    """
    above, _, name = pointer.rpartition("/")
    try:
        document = parse_json(body)
        holder = follow(document, above)
    except (ValueError, LookupError):
        return body
    if not isinstance(holder, dict) or name not in holder:
        return body
    change(holder, name)
    return encode_json(document)
