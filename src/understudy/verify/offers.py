"""What is paid for: which create each paid check sends, the cheapest first, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from understudy.contract.creates import Create
from understudy.contract.expressions import first_value
from understudy.contract.model import Contract
from understudy.contract.operations import Operation
from understudy.lifecycle import Json
from understudy.probes import request_to, sample, sample_body, sample_parameters
from understudy.verify.budget import price_of
from understudy.verify.questions import put, shows_more, wrong_bodies
from understudy.verify.twin import Twin
from understudy.wire import Request, RequestView


@dataclass(frozen=True)
class Order:
    """A create that a check can send.

    Attributes:
        operation: The operationId.
        model: Which model it asks for, where one is told.
        request: The request, with the stand-in key.
        view: The same, as expressions see it.
        calls_back: Whether it names an address for callbacks.
    """

    operation: str
    model: Json
    request: Request
    view: RequestView
    calls_back: bool

    def __str__(self) -> str:
        return f"{self.operation}{'' if self.model is None else f' with {self.model}'}"


@dataclass(frozen=True)
class Offer(Order):
    """A create that has a price.

    Attributes:
        usd: What it costs by the contract, in US dollars.
    """

    usd: Decimal


class Offers:
    """What can be bought from a provider.

    Args:
        contract: What it promises.
        twin: Says which jobs fail.
        asks: Says whether an operation is asked at all.
    """

    def __init__(self, contract: Contract, twin: Twin, asks: Callable[[Operation], bool]) -> None:
        self._contract = contract
        self._kind = contract.job_type
        self._twin = twin
        self._asks = asks
        self._blocking = [group for group in self._kind.creates if group.sync is not None and group.sync.when is None]
        self._others = [group for group in self._kind.creates if group not in self._blocking]

    def job(self, callback_url: str | None = None) -> Offer | None:
        """Return the cheapest create that leaves its job to be asked for, or to call back."""
        return _cheapest(self._offers(self._others, callback_url))

    def blocking(self) -> Offer | None:
        """Return the cheapest create that is answered when its job has ended."""
        return _cheapest(self._offers(self._blocking))

    def failing(self) -> Offer | None:
        """Return the cheapest create whose job fails, for an input that is looked at when the job runs."""
        late = [group for group in self._others if group.late]
        return _cheapest(offer for offer in self._offers(late, wrong=True) if self._twin.would_fail(offer.request))

    def other_models(self) -> list[Offer]:
        """Return the cheapest create of each model, the cheapest first, but for the one that `job` is of."""
        cheapest: dict[Json, Offer] = {}
        for offer in sorted(self._offers(self._others), key=_rank):
            cheapest.setdefault(offer.model, offer)
        return list(cheapest.values())[1:]

    def every(self, callback_url: str | None) -> Iterator[Order]:
        """Yield what each create takes, and what has its reply show more, with an address where it can have one."""
        for group in self._kind.creates:
            called = self._kind.callback is not None and group.callback_url
            yield from self._orders(group, callback_url if called else None, more=True)

    def _offers(
        self, groups: Iterable[Create], callback_url: str | None = None, *, wrong: bool = False
    ) -> Iterator[Offer]:
        for group in groups:
            if callback_url is not None and not group.callback_url:
                continue
            for order in self._orders(group, callback_url, wrong=wrong):
                usd = price_of(self._kind, group, order.view)
                if usd is not None:
                    yield Offer(**vars(order), usd=usd)

    def _orders(
        self, group: Create, callback_url: str | None, *, wrong: bool = False, more: bool = False
    ) -> Iterator[Order]:
        for operation in map(self._contract.operations.__getitem__, group.operations):
            for body in self._bodies(operation, wrong=wrong) if self._asks(operation) else ():
                given = {**sample_parameters(self._contract, operation), "body": body}
                if callback_url is not None:
                    given = put(given, group.callback_url, callback_url)
                for taken in (given, *(shows_more(given, group.reply) if more else ())):
                    view = RequestView(taken["body"], taken["query"], taken["headers"], taken["path"])
                    model = first_value(group.model, {"request": view})
                    yield Order(operation.id, model, request_to(operation, taken), view, callback_url is not None)

    def _bodies(self, operation: Operation, *, wrong: bool) -> Iterator[Json]:
        """Yield bodies that an operation takes: its examples, and one for each model; or what is nearly one."""
        data, check = self._contract.document.data, operation.body
        made = [sample(data, info.schema) for info in self._kind.models.values()]
        for body in (*operation.examples.values(), sample_body(self._contract, operation), *made):
            if check is None or body is None or any(check.violations(body)):
                continue
            yield from wrong_bodies(self._contract, operation, body) if wrong else (body,)


def _cheapest(offers: Iterable[Offer]) -> Offer | None:
    return min(offers, key=_rank, default=None)


def _rank(offer: Offer) -> tuple[Decimal, bool]:
    """Return what puts the cheapest first, and among those one whose input has no links: they lead nowhere."""
    return offer.usd, b"://" in offer.request.body
