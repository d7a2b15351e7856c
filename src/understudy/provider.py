"""The pipeline: one request in, one reply out, and what follows from it on the clock.

    route → authenticate → limit → decode → strike → handle (check, decide, commit, render) → strike → record

Nothing here does I/O. A stage returns what the next one needs, or raises `Answered` with a named error of the contract.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from understudy.behaviour import Behaviour
from understudy.call import Backstage, Call, decoded
from understudy.callback import Delivery
from understudy.clock import Clock
from understudy.contract.catalogue import Transport
from understudy.contract.model import AboutAJob, Contract, JobType
from understudy.contract.operations import Operation, Routed, key_in
from understudy.errors import UsageError, suggestion
from understudy.files import Files, Found
from understudy.handlers import HANDLERS, unclaimed
from understudy.journal import Exchange, Journal, kept
from understudy.ledger import Ledger
from understudy.lifecycle import State, Step
from understudy.limits import RateWindows
from understudy.plan import Plan, checked
from understudy.reach import NOT_SENT, shown_url
from understudy.refusals import refusal
from understudy.scenario import Scenario
from understudy.stage import Send, Stage
from understudy.store import Account, Accounts, Play, Plays, account_name
from understudy.trouble import FaultRule, Trouble, fault_rule
from understudy.wire import (
    Answered,
    Outcome,
    Reply,
    Request,
    RequestView,
    Severed,
    Stream,
    Wait,
    problem,
    retry_after,
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
        errors: How errors come from now on; None for the contract's default.

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
        self.errors = errors
        self._trouble = Trouble(clock, self.journal)
        self._down_until = 0.0
        self._securities = contract.securities
        self._lock = threading.RLock()
        carry = send or _send_nothing
        stage = Stage(clock, behaviour, self.journal, self.plays, carry, self._lock, self._trouble, callback_url)
        files = Files(contract.job_types, self.plays, clock)
        source = random.Random(seed)
        usual = Plan(behaviour.timeline)
        self._back = Backstage(contract, behaviour, clock, self.plays, stage, files, source, usual)
        self._parts = {
            operation: (job_type, part, job_type.about_a_job.get(part))
            for job_type in contract.job_types.values()
            for operation, part in job_type.operation_ids().items()
        }
        for operation in contract.operations:
            self._parts.setdefault(operation, (contract.job_type, "", None))
        keys = {security.name for security in self._securities if security.place == "query"}
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
        steps = timeline if state is None else [Step(state)]
        self.plan_next(Plan(None if steps is None else checked(steps), failure, error, visible_after_seconds))

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

    def _open_account(self, name: str) -> Account:
        story = self._scenario.balance if self._scenario is not None else None
        usual = self.behaviour.balance if story is None else story
        balance = usual if self._balance is None else self._balance
        rates = [rate for job_type in self.contract.job_types.values() for rate in job_type.rates]
        return Account(name, Ledger(balance), RateWindows(rates))

    # --- the pipeline ---

    def handle(self, request: Request) -> Outcome:
        """Answer a request.

        Args:
            request: The request, as data.

        Returns:
            The reply, a stream, or a wait for a reply that comes later.
        """
        named = request.header.pop(SCENARIO_HEADER, None)
        routed = self.contract.router.find(request.method, request.path, request.host)
        # A file is drawn now. Finding it only reads, so the lock is not held, and nobody else has to wait.
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
                return self.record(request, self._file(request, found, story, now, own=named is not None))
            return self.record(request, self._answer(request, routed, story, now, own=named is not None))

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
                account=request.account or account_name(self._key_of(request) or ""),
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

    def _answer(
        self, request: Request, routed: Routed | None, story: Scenario | None, now: float, *, own: bool
    ) -> Outcome:
        if routed is None or routed.operation is None:
            return self._no_operation(request, () if routed is None else routed.methods, story, now)
        operation = routed.operation
        job_type, part, about = self._parts[operation.id]
        view = RequestView(None, request.parameters, request.header, routed.path)
        scope = self._scope(request, view, operation.server, now)
        try:
            account = self._authenticated(request, operation, now)
            scope["account"], request.account = account, account.name
            story = account.story if account.story is not None and not own else story
            request.scenario = None if story is None else story.name
            self._limit(account, operation, story, now)
            view.body = decoded(request, operation)
            call = Call(request, operation, job_type, account, view, scope, now, story)
            if own and story is not None:
                call.balance = story.balance
            if about is not None:
                call.play = self._play_of(about, call)
            return self._struck(part, call, own=own)
        except Answered as answered:
            return self._refused(answered, operation.id, job_type, scope, story)

    def _struck(self, part: str, call: Call, *, own: bool) -> Outcome:
        """Answer a request with the faults that strike it; those of a job's own story, where it is about a job."""
        handle = HANDLERS.get(part, unclaimed)
        play = call.play
        if play is not None and not own:
            call.story = play.story
        rules = () if call.story is None else call.story.faults
        if self._trouble.may_strike(rules, part):
            job = None if play is None else play.job
            met = call.account.met if play is None else play.met
            scope = call.scope if job is None else {**call.scope, "job": job}
            call.faults = self._trouble.striking(rules, part, met, scope, None if job is None else job.id)
        if not call.faults:
            return handle(self._back, call)

        def answered() -> Outcome:
            try:
                return handle(self._back, call)
            except Answered as answered:
                return self._refused(answered, call.operation.id, call.job_type, call.scope, call.story)

        outcome = self._trouble.around(call.faults, answered)
        if outcome.operation is None:
            outcome.operation = call.operation.id
        return outcome

    def _play_of(self, about: AboutAJob, call: Call) -> Play | None:
        """Return the job that a request is about, where it names one that there is."""
        play = self.plays.asked_for(about, str(call.value(about.id)))
        return play if play is not None and play.account is call.account else None

    def _limit(self, account: Account, operation: Operation, story: Scenario | None, now: float) -> None:
        seconds = account.windows.admit(operation.id, now)
        if seconds is None:
            return
        form = (story and story.retry_after) or self.behaviour.retry_after
        raise Answered("rateLimited", () if form is None else [retry_after(form, seconds, now)])

    def _scope(self, request: Request, view: RequestView, server: str, now: float) -> dict[str, Any]:
        return {
            "request": view,
            "server": {"url": request.server_url or server},
            "now": now,
            "url": request.path,
            "method": request.method,
            "secret": self.behaviour.secrets,
        }

    def _authenticated(self, request: Request, operation: Operation, now: float) -> Account:
        key = key_in(operation.security, request.header, request.parameters, now)
        if operation.security and (key is None or self.behaviour.refused_keys.search(key)):
            raise Answered("unauthorized")
        return self.accounts.of_key(key or self._key_of(request) or "")

    def _key_of(self, request: Request) -> str | None:
        return key_in(self._securities, request.header, request.parameters)

    def _file(self, request: Request, found: Found, story: Scenario | None, now: float, *, own: bool) -> Outcome:
        """Answer with a file, or say why not."""
        scope = self._bare_scope(request, now)
        if found.account and found.account != account_name(self._key_of(request) or ""):
            return self._refused(Answered("unauthorized"), None, found.job_type, scope, story)
        if found.expired:
            expired = found.job_type.assets.expired if found.job_type.assets is not None else "expired"
            return self._refused(Answered(expired), None, found.job_type, scope, story)
        reply = Reply(200, [("content-type", found.media_type)], found.content)
        if found.play is None:
            return reply
        story, job = story if own else found.play.story, found.play.job
        rules = () if story is None else story.faults
        faults = self._trouble.striking(rules, "assets", found.play.met, {**scope, "job": job}, job.id)
        try:
            return self._trouble.around(faults, lambda: reply)
        except Answered as answered:
            return self._refused(answered, None, found.job_type, scope, story)

    def _no_operation(self, request: Request, methods: tuple[str, ...], story: Scenario | None, now: float) -> Reply:
        name = "methodNotAllowed" if methods else "unknownPath"
        reply = self._refused(Answered(name), None, self.contract.job_type, self._bare_scope(request, now), story)
        if methods:
            reply.headers.append(("allow", ", ".join(methods)))
        return reply

    def _bare_scope(self, request: Request, now: float) -> dict[str, Any]:
        view = RequestView(None, request.parameters, request.header, {})
        return self._scope(request, view, self.contract.servers[0], now)

    def _refused(
        self,
        answered: Answered,
        operation: str | None,
        job_type: JobType,
        scope: dict[str, Any],
        story: Scenario | None,
    ) -> Reply:
        by = self.errors or (story and story.transport) or job_type.errors.transports[0]
        return refusal(answered, operation, job_type, scope, by)


def _reads(request: Request) -> bool:
    return request.method in ("GET", "HEAD")


def _send_nothing(delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
    done(None, f"{NOT_SENT}: nobody carries callbacks here")
