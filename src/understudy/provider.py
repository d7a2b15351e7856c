"""The pipeline: one request in, one reply out, and what follows from it on the clock.

    route → authenticate → limit → decode → handle (check, decide, commit, render) → record

Nothing here does I/O. A stage returns what the next one needs, or raises `Answered` with a named error of the contract.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from understudy.behaviour import Behaviour, Plan, Scenario, wrong_steps
from understudy.call import Answered, Backstage, Call
from understudy.callback import Delivery
from understudy.clock import Clock
from understudy.contract.catalogue import Transport
from understudy.contract.model import Contract, JobType
from understudy.contract.operations import Operation, Routed
from understudy.contract.validation import Violation
from understudy.errors import UsageError, suggestion
from understudy.files import Files
from understudy.handlers import HANDLERS, unclaimed
from understudy.journal import Exchange, Journal, kept
from understudy.ledger import Ledger
from understudy.lifecycle import Json, State, Step
from understudy.limits import RateWindows
from understudy.reach import NOT_SENT
from understudy.stage import Send, Stage
from understudy.store import Account, Accounts, Plays, account_name
from understudy.wire import MAX_BODY_BYTES, Malformed, Outcome, Reply, Request, RequestView, Wait, decode_body

# What the engine answers where a contract has no rule: the HTTP status, by named error.
_PLAIN_STATUS = {
    "unauthorized": 401,
    "malformed": 400,
    "unsupportedMediaType": 415,
    "tooLarge": 413,
    "invalid": 422,
    "unknownModel": 422,
    "notFound": 404,
    "unknownPath": 404,
    "methodNotAllowed": 405,
    "credits": 402,
    "rateLimited": 429,
    "expired": 403,
}


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
        send: Sends a callback, and calls back with the status of the answer (None for none) and a note.

    Raises:
        UsageError: There is no such scenario or transport.
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
        send: Send | None = None,
    ) -> None:
        transports = contract.job_type.errors.transports
        if errors is not None and errors not in transports:
            raise UsageError(f'{contract.name} has no errors by "{errors}"; {suggestion(errors, transports)}')
        story: Scenario | None = None if scenario is None else behaviour.scenario(scenario)
        self.contract = contract
        self.behaviour = behaviour
        self.clock = clock
        self.journal = Journal()
        self.accounts = Accounts(self._open_account)
        self.plays = Plays()
        self._scenario = story
        self._seed = seed
        self._balance = balance
        self._transport: Transport = errors or (story and story.transport) or transports[0]
        self._securities = {entry for operation in contract.operations.values() for entry in operation.security}
        self._lock = threading.RLock()
        stage = Stage(clock, behaviour, self.journal, self.plays, send or _send_nothing, self._lock)
        files = Files(contract.job_types, self.plays, clock)
        source = random.Random(seed)
        self._back = Backstage(contract, behaviour, clock, self.journal, self.plays, stage, files, source, story)
        self._parts = {
            operation: (job_type, HANDLERS[part])
            for job_type in contract.job_types.values()
            for operation, part in job_type.operation_ids().items()
        }

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
        job_type = self.contract.job_type
        for kind, name, valid in (
            ("failure", failure, job_type.failures),
            ("error", error, job_type.errors.rules),
        ):
            if name is not None and name not in valid:
                raise UsageError(f'{self.contract.name} has no {kind} "{name}"; {suggestion(name, valid)}')
        steps = None if timeline is None else tuple(timeline)
        if state is not None:
            steps = (Step(state),)
        if steps == ():
            raise UsageError("a timeline needs a step")
        for index, text in wrong_steps(steps or ()):
            raise UsageError(f"step {index + 1} of the timeline: {text}")
        self.plan_next(Plan(steps, failure, error, visible_after_seconds))

    def plan_next(self, plan: Plan) -> None:
        """Queue the plan of a job; the plans of several wait in order."""
        with self._lock:
            self._back.next_plans.append(plan)

    def reset(self) -> None:
        """Forget everything but the contract, the scenario and the time."""
        with self._lock:
            self.accounts.clear()
            self.plays.clear()
            self.journal.clear()
            self._back.next_plans.clear()
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
        routed = self.contract.router.find(request.method, request.path)
        # A file is drawn now. Finding it only reads, so the lock is not held, and nobody else has to wait.
        file = self._file(request) if routed is None or routed.operation is None else None
        with self._lock:
            return self._recorded(request, file or self._answer(request, routed))

    def _recorded(self, request: Request, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Wait):
            resume = outcome.resume

            def resumed() -> Outcome:
                with self._lock:
                    return self._recorded(request, resume())

            return Wait(outcome.until, resumed)
        reply = outcome if isinstance(outcome, Reply) else None
        self.journal.add(
            Exchange(
                at=self.clock.now(),
                account=account_name(self._key_of(request) or ""),
                method=request.method,
                path=request.path,
                operation=outcome.operation,
                status=200 if reply is None else reply.status,
                error=None if reply is None else reply.error,
                jobs=() if reply is None else reply.jobs,
                request_body=kept(request.body),
                reply_body=b"" if reply is None else kept(reply.body),
            )
        )
        return outcome

    def _answer(self, request: Request, routed: Routed | None) -> Outcome:
        if routed is None or routed.operation is None:
            return self._no_operation(request, () if routed is None else routed.methods)
        operation = routed.operation
        job_type, handler = self._parts.get(operation.id, (self.contract.job_type, unclaimed))
        view = RequestView(None, request.parameters, request.header, routed.path)
        scope = self._scope(request, view, operation.server)
        try:
            account = self._authenticated(request, operation)
            scope["account"] = account
            if account.windows.admit(operation.id, scope["now"]) is not None:
                raise Answered("rateLimited")
            body = _decoded(request, operation)
            view = scope["request"] = RequestView(body, request.parameters, request.header, routed.path)
            return handler(self._back, Call(request, operation, job_type, account, view, scope))
        except Answered as answered:
            return self._error(answered, operation.id, job_type, scope)

    def _scope(self, request: Request, view: RequestView, server: str) -> dict[str, Any]:
        return {
            "request": view,
            "server": {"url": request.server_url or server},
            "now": self.clock.now(),
            "url": request.path,
            "method": request.method,
            "secret": self.behaviour.secrets,
        }

    def _authenticated(self, request: Request, operation: Operation) -> Account:
        keys = [security.key_in(request.header, request.parameters) for security in operation.security]
        key = next((key for key in keys if key is not None), None)
        if operation.security and (key is None or self.behaviour.refused_keys.search(key)):
            raise Answered("unauthorized")
        return self.accounts.of_key(key or self._key_of(request) or "")

    def _key_of(self, request: Request) -> str | None:
        keys = (security.key_in(request.header, request.parameters) for security in self._securities)
        return next((key for key in keys if key is not None), None)

    def _file(self, request: Request) -> Reply | None:
        found = self._back.files.find(request.path, request.parameters) if request.method in ("GET", "HEAD") else None
        if found is None:
            return None
        if found.account and found.account != account_name(self._key_of(request) or ""):
            return self._error(Answered("unauthorized"), None, found.job_type, self._bare_scope(request))
        if found.expired:
            expired = found.job_type.assets.expired if found.job_type.assets is not None else "expired"
            return self._error(Answered(expired), None, found.job_type, self._bare_scope(request))
        headers = [("content-type", found.media_type)]
        return Reply(200, headers, found.content)

    def _no_operation(self, request: Request, methods: tuple[str, ...]) -> Reply:
        name = "methodNotAllowed" if methods else "unknownPath"
        reply = self._error(Answered(name), None, self.contract.job_type, self._bare_scope(request))
        if methods:
            reply.headers.append(("allow", ", ".join(methods)))
        return reply

    def _bare_scope(self, request: Request) -> dict[str, Any]:
        view = RequestView(None, request.parameters, request.header, {})
        return self._scope(request, view, self.contract.servers[0])

    def _error(self, answered: Answered, operation: str | None, job_type: JobType, scope: dict[str, Any]) -> Reply:
        scope = {**scope, **answered.scope}
        rule = job_type.errors.find(answered.name, operation, scope)
        job = scope.get("job")
        more: dict[str, Any] = {"operation": operation, "error": answered.name, "jobs": (job.id,) if job else ()}
        if rule is None:
            return _problem(answered, scope, more)
        rendered = rule.render(scope, self._transport)
        return Reply.of_json(rendered.status, rendered.headers, rendered.body, **more)


def _decoded(request: Request, operation: Operation) -> Json:
    """Decode the body of a request by its content type."""
    if len(request.body) > MAX_BODY_BYTES:
        raise Answered("tooLarge")
    if operation.body is None or not request.body:
        return None
    content_type = request.header.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in operation.body.media_types:
        message = f"{media_type or 'no content type'} is not one of {', '.join(operation.body.media_types)}"
        raise Answered("unsupportedMediaType", violation=_about_body("contentType", media_type, message))
    try:
        return decode_body(media_type, content_type, request.body)
    except Malformed as error:
        raise Answered(
            "malformed", violation=_about_body("format", None, f"the body is not {media_type}: {error}")
        ) from None


def _about_body(keyword: str, value: Json, message: str) -> Violation:
    return Violation("body", "", "", keyword, None, value, message)


def _problem(answered: Answered, scope: dict[str, Any], more: dict[str, Any]) -> Reply:
    """Answer an error that the contract has no rule for: a problem document (RFC 9457) that says so."""
    violation = scope.get("violation")
    status = _PLAIN_STATUS.get(answered.name, 500)
    detail = f'The contract has no rule for the error "{answered.name}", so this is the stand-in\'s own answer.'
    if violation is not None:
        detail = f"{violation.message}. {detail}"
    body = {"type": "about:blank", "title": answered.name, "status": status, "detail": detail}
    reply = Reply.of_json(status, [], body, **more)
    reply.headers[0] = ("content-type", "application/problem+json")
    return reply


def _send_nothing(delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
    done(None, f"{NOT_SENT}: nobody carries callbacks here")
