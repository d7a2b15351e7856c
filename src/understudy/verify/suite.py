"""The suite: the checks in their order, free ones first, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import NamedTuple

from understudy.behaviour import Behaviour
from understudy.clock import Clock
from understudy.contract.model import Contract
from understudy.errors import ClientError, UsageError
from understudy.exchange import Answer, NoAnswer
from understudy.verify.budget import Budget
from understudy.verify.findings import Found
from understudy.verify.jobs import Callbacks, Jobs
from understudy.verify.line import Line
from understudy.verify.offers import Offer, Offers
from understudy.verify.questions import Question, questions
from understudy.verify.scenes import Scene, scenes, unplayable

#: The pause between two free requests, so that no rate limit binds, in seconds.
PAUSE_SECONDS = 0.2

FREE = (
    *("no-key", "wrong-key", "unknown-id", "malformed-body", "wrong-media-type", "wrong-model", "invalid-parameter"),
    *("unknown-path", "method-not-allowed", "balance", "models", "list", "keys", "files"),
)
PAID = ("lifecycle", "blocking", "callback", "cancel", "failure", "other-models")
SCENES = ("scene-errors", "scene-transports", "scene-states", "scene-failures", "scene-models")
CHECKS = (*FREE, *PAID, *SCENES)


class Checked(NamedTuple):
    """What came of a check.

    Attributes:
        name: The check.
        found: What is different.
        skipped: Why it was not made.
        seconds: How long it took.
        asked: How many requests were sent.
    """

    name: str
    found: tuple[Found, ...] = ()
    skipped: str | None = None
    seconds: float = 0.0
    asked: int = 0


class Skipped(Exception):
    """A check cannot be made."""


class Suite(Jobs):
    """The checks of one provider.

    Args:
        contract: What it promises.
        behaviour: How its fake acts, which is the twin.
        line: The line to it.
        clock: By which is waited.
        budget: What may be spent.
        callbacks: Where callbacks come in; None where none can.
        secret: The secret that callbacks are signed with; None where nobody has told it.
        tell: Is told what goes on, line by line.
    """

    def __init__(
        self,
        contract: Contract,
        behaviour: Behaviour,
        line: Line,
        *,
        clock: Clock,
        budget: Budget,
        callbacks: Callbacks | None = None,
        secret: str | None = None,
        tell: Callable[[str], object] = lambda text: None,
    ) -> None:
        super().__init__(contract, behaviour, line, clock=clock, callbacks=callbacks, secret=secret)
        self._budget, self._tell = budget, tell
        self._offers = Offers(contract, self._twin, line.asks)

    def run(self, only: Iterable[str] = ()) -> Iterator[Checked]:
        """Make the checks, one after another.

        Args:
            only: Their names; none for all.
        """
        wanted = [name for name in CHECKS if not only or name in only]
        offers = self._offered([name for name in wanted if name in PAID])
        for name, offer in offers.items():
            answer = self._budget.answer(name) if self._budget.known(name) else None
            if answer is not None and offer is not None:
                self._twin.hold(offer.request, answer)  # so that it knows the jobs of the run that was interrupted
        checks: dict[str, Callable[[], None]] = {
            **{name: partial(self._ask_all, name) for name in wanted if name in FREE},
            **{name: partial(self._pay, name, offer) for name, offer in offers.items()},
            **{name: partial(self._play, name) for name in wanted if name in SCENES},
        }
        for name, make in checks.items():
            yield self._checked(name, make)

    def _checked(self, name: str, make: Callable[[], None]) -> Checked:
        self._found, self._asked, skipped = [], 0, None
        began = self._clock.now()
        try:
            make()
        except Skipped as reason:
            skipped = str(reason)
        except NoAnswer as error:
            self._note("no-answer", f"nothing was answered: {error}")
        found = tuple(dict.fromkeys(self._found))
        checked = Checked(name, found, skipped, self._clock.now() - began, self._asked)
        self._tell(_told(checked))
        return checked

    @contextmanager
    def _as_a_client(self, operation: str) -> Iterator[None]:
        """Note where a client by the contract fails."""
        try:
            yield
        except (ClientError, UsageError) as error:
            self._note("unreadable", f"a client by the contract fails: {error}", operation)
        except ValueError as error:
            self._note("link-elsewhere", str(error), breaking=False)

    # --- free ---

    @cached_property
    def _questions(self) -> list[Question]:
        return list(questions(self._contract, self._twin, self._line.asks))

    def _ask_all(self, name: str) -> None:
        asked = [question for question in self._questions if question.check == name]
        if not asked:
            raise Skipped("the contract has nothing of it that is free to ask")
        for question in asked:
            self._hold(question.request)
            self._clock.sleep(PAUSE_SECONDS)

    # --- scenes ---

    @cached_property
    def _scenes(self) -> list[Scene] | None:
        """What is played; None where the provider is no stand-in, for it does not answer as one."""
        request = unplayable(self._contract, self._line.server)
        if self._twin.hold(request, self._line.ask(request)):
            return None
        orders = self._offers.every(None if self._callbacks is None else self._callbacks.url)
        return list(scenes(self._contract, orders, self._questions, self._line.asks))

    def _play(self, name: str) -> None:
        if self._scenes is None:
            raise Skipped("a stand-in alone plays what it is told; a provider cannot be told to fail")
        played = [scene for scene in self._scenes if scene.check == name]
        if not played:
            raise Skipped("the contract has nothing of it to play")
        for scene in played:
            if self._callbacks is not None:
                self._callbacks.received.clear()
            answer = self._hold(scene.request)
            if scene.order is not None:
                with self._as_a_client(scene.order.operation):
                    self._see(scene, scene.order, answer)
            if any(found.rule == "callback-missing" for found in self._found):
                return  # none of the others is waited for as well

    # --- paid ---

    def _offered(self, names: list[str]) -> dict[str, Offer | None]:
        """Return what each paid check would buy, and tell what it costs."""
        url = None if self._callbacks is None else self._callbacks.url
        kind, offers = self._kind, self._offers
        made: dict[str, Callable[[], Offer | None]] = {
            "lifecycle": offers.job,
            "blocking": offers.blocking,
            "callback": lambda: offers.job(url) if kind.callback is not None and url is not None else None,
            "cancel": lambda: offers.job() if kind.cancel is not None else None,
            "failure": offers.failing,
        }
        found = {name: make() for name, make in made.items() if name in names}
        if "other-models" in names:
            others: dict[str, Offer | None] = {}
            with suppress(NoAnswer):  # which the checks will tell of
                if self._scenes is None:
                    others = {f"other-models {offer.model}": offer for offer in offers.other_models()}
            found |= others or {"other-models": None}
        priced = {name: offer for name, offer in found.items() if offer is not None}
        for name, offer in priced.items():
            self._tell(f"{name} costs {offer.usd:f} USD: {offer}")
        if priced:
            total = sum(offer.usd for offer in priced.values())
            self._tell(
                f"all of it costs {total:f} USD; the budget is {self._budget.most:f}, spent {self._budget.spent:f}"
            )
        return found

    def _pay(self, name: str, offer: Offer | None) -> None:
        earlier = self._budget.found(name)
        if earlier is not None:
            self._found += earlier
            return
        if offer is None:
            raise Skipped(self._why_not(name))
        known = self._budget.known(name)
        if not known and not self._budget.covers(offer.usd):
            left = self._budget.most - self._budget.spent
            raise Skipped(f"it costs {offer.usd:f} USD, and {max(left, left * 0):f} of the budget are left")
        made = self._clock.now()
        answer = self._budget.answer(name) if known else self._bought(name, offer)
        if answer is None:
            raise Skipped("its create was sent before, and nobody knows what came of it: it counts as spent")
        with self._as_a_client(offer.operation):
            job = self._flows.accepted(offer, answer)
            self._follow(name, job, made if not known else answer.at)
        self._budget.ended(name, self._found)

    def _why_not(self, name: str) -> str:
        kind = self._kind
        if kind.usd_per_unit is None or not kind.prices:
            return "the contract has no price"
        if name == "callback" and kind.callback is not None:
            return "no address is known that the provider can call back: give one by --callback-url"
        return {
            "callback": "the provider sends no callbacks",
            "cancel": "the provider cannot cancel",
            "failure": "no request is known that fails",
            "blocking": "no create blocks, at the host of the base URL",
            "other-models": "no other model is known, or a stand-in has scenes for them",
        }.get(name, "no body is known that a create takes, at the host of the base URL")

    def _bought(self, name: str, offer: Offer) -> Answer:
        self._budget.sending(name, offer.usd)
        answer = self._line.ask(offer.request)
        self._asked += 1
        self._budget.answered(name, answer)
        self._found += self._twin.hold(offer.request, answer)
        return answer


def _told(checked: Checked) -> str:
    """Return what is said of a check when it has been made."""
    if checked.skipped is not None:
        return f"{checked.name}: skipped: {checked.skipped}"
    worst = _counted(len(checked.found), "difference") if checked.found else "fine"
    return f"{checked.name}: {worst} ({_counted(checked.asked, 'request')})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
