"""The stand-in for one provider: one request in, one reply out, and what follows from it on the clock.

    route → what the pipeline does → record

Nothing here does I/O. Everything happens under one lock, but for the making of results that somebody looks at.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from understudy.behaviour import Behaviour
from understudy.call import Backstage
from understudy.callback import Delivery, Done
from understudy.clock import Clock
from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract
from understudy.errors import UsageError, require_number, suggestion
from understudy.files import Files
from understudy.journal import Exchange, Journal, kept
from understudy.ledger import Ledger
from understudy.lifecycle import Job, State, Step
from understudy.limits import RateWindows
from understudy.pipeline import Pipeline
from understudy.plan import Plan, checked
from understudy.reach import NOT_SENT, shown_url
from understudy.scenario import Scenario
from understudy.stage import Send, Stage
from understudy.store import Account, Accounts, Plays, account_name
from understudy.trouble import FaultRule, Trouble, fault_rule
from understudy.wire import (
    Outcome,
    Reply,
    Request,
    Severed,
    Stream,
    Wait,
    problem,
)

#: The header that names the scenario of one request, and of the job that it makes; no provider gets to see it.
SCENARIO_HEADER = "understudy-scenario"

#: Each is given every stand-in that is made in this process, to look on.
onlookers: list[Callable[[Provider], None]] = []


class Provider:
    """A stand-in for one provider.

    Args:
        contract: What the provider promises.
        behaviour: How its stand-in acts where the contract leaves it open.
        clock: By which everything happens.
        seed: From which ids are minted.
        scenario: The name of the story that is played; None for the usual.
        errors: How errors come: `body` or `http`; None for the contract's default.
        balance: What accounts start with; None for what the scenario or the behaviour file says.
        callback_url: The address that the account has for callbacks; None for none.
        send: Sends a callback, and calls back with the status of the answer (None for none) and a note.

    Attributes:
        pipeline: What requests go through.

    Raises:
        UsageError: There is no such scenario or transport, or no callback goes to an address of the account.
    """

    def __init__(
        self,
        contract: Contract,
        behaviour: Behaviour,
        *,
        clock: Clock,
        seed: int = 0,
        scenario: str | None = None,
        errors: Transport | None = None,
        balance: float | None = None,
        callback_url: str | None = None,
        send: Send | None = None,
    ) -> None:
        require_number('"balance"', balance, 0)
        transports = contract.job_type.errors.transports
        if errors is not None and errors not in transports:
            raise UsageError(f'{contract.name} has no errors by "{errors}"; {suggestion(errors, transports)}')
        if callback_url is not None and not contract.tells_accounts:
            text = f"{contract.name} sends no callbacks to an address of the account: name it in the create"
            raise UsageError(text)
        self.contract = contract
        self.behaviour = behaviour
        self.clock = clock
        self.journal = Journal()
        self.accounts = Accounts(self._open_account)
        self.plays = Plays()
        self._scenario: Scenario | None = None if scenario is None else behaviour.scenario(scenario)
        self._seed = seed
        self._balance = balance
        self._trouble = Trouble(clock, self.journal)
        self._down_until = 0.0
        self._lock = threading.RLock()
        carry = send or _send_nothing
        stage = Stage(clock, behaviour, self.journal, self.plays, carry, self._lock, self._trouble, callback_url)
        files = Files(contract.job_types, self.plays, clock)
        source = random.Random(seed)
        usual = Plan(behaviour.timeline, visible_after_seconds=behaviour.visible_after_seconds)
        self._back = Backstage(contract, behaviour, clock, self.plays, stage, files, source, usual)
        self.pipeline = Pipeline(self._back, self.accounts, self._trouble, errors)
        keys = {security.name for security in contract.securities if security.place == "query"}
        self._told = {
            operation.id: {entry.name for entry in operation.parameters if entry.place == "query"} - keys
            for operation in contract.operations.values()
        }
        for onlooker in onlookers:
            onlooker(self)

    def next_job(
        self,
        *,
        failure: str | None = None,
        error: str | None = None,
        timeline: Sequence[Step] | None = None,
        state: State | None = None,
        visible_after_seconds: float | None = None,
    ) -> None:
        """Say how the next job goes, whatever the scenario says; see `Fake.next_job`."""
        self._has("failure", failure, self.contract.job_type.failures)
        self._has("error", error, self.contract.job_type.errors.rules)
        require_number('"visible_after_seconds"', visible_after_seconds, 0)
        if state is not None and (timeline is not None or (failure is not None and state != State.FAILED)):
            other = "a timeline" if timeline is not None else f'the failure "{failure}"'
            raise UsageError(f"a job that goes to {state} at once has no use for {other}: leave out one of them")
        steps = timeline if state is None else [Step(state)]
        going = None if steps is None else checked(steps, self.contract.job_type.words)
        self.plan_next(Plan(going, failure, error, visible_after_seconds))

    def _has(self, kind: str, name: str | None, valid: Iterable[str]) -> None:
        if name is not None and name not in valid:
            raise UsageError(f'{self.contract.name} has no {kind} "{name}"; {suggestion(name, valid)}')

    def plan_next(self, plan: Plan) -> None:
        """Queue the plan of a job; the plans of several wait in order."""
        with self._lock:
            self._back.next_plans.append(plan)

    def fault(
        self, fault: str, *, on: str | None = None, nth: int = 1, times: int | None = 1, **parameters: Any
    ) -> None:
        """Have a fault strike, whatever the scenario; see `Fake.fault`."""
        self.arm(fault_rule(fault, on, parameters, nth=nth, times=times))

    def arm(self, rule: FaultRule) -> None:
        """Have what a rule says strike, whatever the scenario."""
        for error in rule.fault.errors():
            self._has("error", error, self.contract.job_type.errors.rules)
        self._has("part", rule.on, {part for job_type in self.contract.job_types.values() for part in job_type.parts})
        with self._lock:
            self._trouble.arm(rule)

    @property
    def scenario(self) -> Scenario | None:
        """The story that is played; jobs that were made under another one keep that."""
        return self._scenario

    def calm(self) -> None:
        """Forget what was planned for jobs to come, and the faults that were armed."""
        with self._lock:
            self._back.next_plans.clear()
            self._trouble.clear()

    def play(self, scenario: str | None) -> None:
        """Play another story from now on, or the usual.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            self._scenario = story = None if scenario is None else self.behaviour.scenario(scenario)
            for account in self.accounts.values():
                if story is not None and story.balance is not None:
                    account.ledger.balance = story.balance

    def reset(self) -> None:
        """Forget everything but the contract, the scenario and the time."""
        with self._lock:
            self.accounts.clear()
            self.plays.clear()
            self.journal.clear()
            self.calm()
            self._down_until = 0.0
            self._back.files.clear()
            self._back.random.seed(self._seed)

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs by id, oldest first; none of them is read in the middle of the create that makes it."""
        with self._lock:
            return {job_id: play.job for job_id, play in self.plays.items()}

    def _open_account(self, name: str) -> Account:
        story = self._scenario.balance if self._scenario is not None else None
        usual = self.behaviour.balance if story is None else story
        balance = usual if self._balance is None else self._balance
        rates = [rate for job_type in self.contract.job_types.values() for rate in job_type.rates]
        return Account(name, Ledger(balance), RateWindows(rates))

    def handle(self, request: Request) -> Outcome:
        """Answer a request.

        Args:
            request: The request, as data.

        Returns:
            The reply, a stream, or a wait for a reply that comes later.
        """
        named = request.header.pop(SCENARIO_HEADER, None)
        routed = self.contract.router.find(request.method, request.path, request.host)
        # A file is drawn now. Finding it changes nothing but results that are yet to be made, so the lock is not held,
        # and nobody else has to wait.
        no_operation = routed is None or routed.operation is None
        found = self._back.files.find(request.path, request.parameters) if no_operation and _reads(request) else None
        with self._lock:
            now = self.clock.now()
            if now < self._down_until:
                return Severed(self._down_until, refused=True)
            try:
                story = self._scenario if named is None else self.behaviour.scenario(named)
            except UsageError as error:
                return self.record(request, problem(400, "no such scenario", str(error)))
            if found is not None:
                return self.record(request, self.pipeline.file(request, found, story, now, own=named is not None))
            return self.record(request, self.pipeline.answer(request, routed, story, now, own=named is not None))

    def record(self, request: Request, outcome: Outcome) -> Outcome:
        """Note a request and its answer in the journal, and return the answer."""
        if isinstance(outcome, Wait):
            resume = outcome.resume

            def resumed() -> Outcome:
                with self._lock:
                    return self.record(request, resume())

            def abandoned() -> None:
                with self._lock:
                    self.record(request, Severed(operation=waiting.operation, jobs=waiting.jobs))

            waiting = outcome
            return Wait(outcome.until, resumed, abandon=abandoned)
        if isinstance(outcome, Severed):
            self._down_until = max(self._down_until, outcome.down_until or 0.0)
        reply = outcome if isinstance(outcome, Reply) else None
        self.journal.add(
            Exchange(
                at=self.clock.now(),
                account=request.account or account_name(self.pipeline.key_of(request) or ""),
                method=request.method,
                path=request.path,
                operation=outcome.operation,
                status=reply.status if reply else None if isinstance(outcome, Severed) else 200,
                error=None if reply is None else reply.error,
                jobs=() if isinstance(outcome, Stream) else outcome.jobs,
                request_body=kept(request.body),
                reply_body=b"" if reply is None else kept(reply.body),
                parameters=self._declared(request, outcome.operation) if request.parameters else (),
                scenario=request.scenario,
            )
        )
        return outcome

    def _declared(self, request: Request, operation: str | None) -> list[tuple[str, str]]:
        """Return what of a query may be kept: anything that its operation does not declare could be a secret."""
        told = self._told.get(operation or "", ())
        return [
            (name, shown_url(value) if "://" in value else value)
            for name, value in request.parameters.items()
            if name in told
        ]


def _reads(request: Request) -> bool:
    return request.method in ("GET", "HEAD")


def _send_nothing(delivery: Delivery, done: Done) -> None:
    done(None, f"{NOT_SENT}: nobody carries callbacks here")
