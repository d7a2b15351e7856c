"""The pipeline: what a request goes through, once it is known where it leads.

    authenticate → limit → decode → strike → handle (check, decide, commit, render) → strike

A stage returns what the next one needs, or raises `Answered` with a named error of the contract.
"""

from __future__ import annotations

from typing import Any

from understudy.call import Backstage, Call, decoded
from understudy.contract.catalogue import Transport
from understudy.contract.model import AboutAJob, JobType
from understudy.contract.operations import Operation, Routed, key_in
from understudy.files import Found
from understudy.handlers import HANDLERS, unclaimed
from understudy.refusals import refusal
from understudy.scenario import Scenario
from understudy.store import Account, Accounts, Play, account_name
from understudy.trouble import Trouble
from understudy.wire import Answered, Outcome, Reply, Request, RequestView, retry_after


class Pipeline:
    """What requests to one provider's stand-in go through. Whoever has one answered holds the stand-in's lock.

    Args:
        back: What the handlers work with.
        accounts: The accounts, by key.
        trouble: What goes wrong with requests.
        errors: How errors come: `body` or `http`; None for the contract's default.

    Attributes:
        errors: How errors come from now on; None for the contract's default.
    """

    def __init__(self, back: Backstage, accounts: Accounts, trouble: Trouble, errors: Transport | None) -> None:
        self.errors = errors
        self._back = back
        self._accounts = accounts
        self._trouble = trouble
        contract = back.contract
        self._securities = contract.securities
        self._parts = {
            operation: (job_type, part, job_type.about_a_job.get(part))
            for job_type in contract.job_types.values()
            for operation, part in job_type.operation_ids().items()
        }
        for operation in contract.operations:
            self._parts.setdefault(operation, (contract.job_type, "", None))

    def answer(
        self, request: Request, routed: Routed | None, story: Scenario | None, now: float, *, own: bool
    ) -> Outcome:
        """Answer a request.

        Args:
            request: The request, as data.
            routed: Where it leads.
            story: The scenario that is played to it, unless its account or its job has another; None for the usual.
            now: The time, in unix seconds.
            own: Whether the request has named the scenario itself, which counts more than any other.
        """
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
        play = self._back.plays.asked_for(about, str(call.value(about.id)))
        return play if play is not None and play.account is call.account else None

    def _limit(self, account: Account, operation: Operation, story: Scenario | None, now: float) -> None:
        seconds = account.windows.admit(operation.id, now)
        if seconds is None:
            return
        form = (story and story.retry_after) or self._back.behaviour.retry_after
        raise Answered("rateLimited", () if form is None else [retry_after(form, seconds, now)])

    def _scope(self, request: Request, view: RequestView, server: str, now: float) -> dict[str, Any]:
        return {
            "request": view,
            "server": {"url": request.server_url or server},
            "now": now,
            "url": request.path,
            "method": request.method,
            "secret": self._back.behaviour.secrets,
        }

    def _authenticated(self, request: Request, operation: Operation, now: float) -> Account:
        key = key_in(operation.security, request.header, request.parameters, now)
        if operation.security and (key is None or self._back.behaviour.refused_keys.search(key)):
            raise Answered("unauthorized")
        return self._accounts.of_key(key or self.key_of(request) or "")

    def key_of(self, request: Request) -> str | None:
        """Return the key that a request carries in any way that the provider knows, or None."""
        return key_in(self._securities, request.header, request.parameters)

    def file(self, request: Request, found: Found, story: Scenario | None, now: float, *, own: bool) -> Outcome:
        """Answer with a file that was found, or say why not; all other arguments are those of `answer`."""
        scope = self._bare_scope(request, now)
        if found.account and found.account != account_name(self.key_of(request) or ""):
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
        reply = self._refused(Answered(name), None, self._back.contract.job_type, self._bare_scope(request, now), story)
        if methods:
            reply.headers.append(("allow", ", ".join(methods)))
        return reply

    def _bare_scope(self, request: Request, now: float) -> dict[str, Any]:
        view = RequestView(None, request.parameters, request.header, {})
        return self._scope(request, view, self._back.contract.servers[0], now)

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
