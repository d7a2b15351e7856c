"""The reference client's flows, as generators over requests and replies: no I/O, and one copy for sync and async.

A flow yields `Send` or `Sleep` and is sent the `Answer`, or has `NoAnswer` thrown into it. Its rules:

- A create ends as accepted, refused for certain (`Refused`) or unknown (`OutcomeUnknown`). One whose outcome is
  unknown is never repeated; one that was refused with `retry: later` is, after the wait that the provider asks for.
  Where the contract knows an answer, its word counts; where it does not, HTTP's own: a 429 is refused for now.
- A read is repeated after an error that may pass, until the deadline: a bad poll does not lose a job that was paid for.
- What the provider says is read backwards from the contract's own views; a word that is not listed ends no wait, unless
  the contract says that it means failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin

from understudy.contract.catalogue import ErrorRule, Recognised
from understudy.contract.expressions import Place
from understudy.contract.model import Contract, Create, JobType, Pace, Status
from understudy.contract.operations import Operation
from understudy.contract.templates import ReadError
from understudy.contract.views import View, facts_of
from understudy.errors import (
    ClientError,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobFailed,
    OutcomeUnknown,
    ProviderError,
    Refused,
    UnreadableReply,
    UsageError,
    WaitTimeout,
    suggestion,
)
from understudy.exchange import (
    MAX_PAUSE_SECONDS,
    REQUEST_TIMEOUT_SECONDS,
    Answer,
    Command,
    Draft,
    NoAnswer,
    Send,
    Sleep,
    Writer,
    answer_scope,
    decoded,
    retry_after,
    succeeded,
)
from understudy.lifecycle import Job, JobError, Json, Output, State
from understudy.reader import Reader

#: How long a wait lasts where neither the caller nor the contract says, in seconds.
DEFAULT_TIMEOUT_SECONDS = 600.0

#: A link to a result file that leads on more often is not followed.
MAX_REDIRECTS = 10

# The pause before the first repetition, in seconds; it doubles from there.
_FIRST_PAUSE_SECONDS = 1.0

_ENDINGS: Final[Mapping[State, tuple[type[JobEnded], str]]] = {
    State.FAILED: (JobFailed, "the job failed"),
    State.CANCELLED: (JobCancelled, "the job was cancelled"),
    State.EXPIRED: (JobExpired, "the job is no longer kept"),
}

Now = Callable[[], float]


class Flows:
    """The flows against one provider.

    Args:
        contract: The provider's contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers.
    """

    def __init__(self, contract: Contract, *, api_key: str, base_url: str | None = None) -> None:
        self.contract = contract
        self.job_type: JobType = contract.job_type
        self.reader = Reader(contract)
        self._writer = Writer(contract, api_key, base_url)

    # --- creates ---

    def submit(
        self,
        input: Mapping[str, Json],
        *,
        model: str | None,
        callback_url: str | None,
        operation: str | None,
        count: int | None,
        timeout_seconds: float,
        now: Now,
    ) -> Generator[Command, Any, list[Job]]:
        """Make jobs; see `Client.submit_many`."""
        create = self._create(operation)
        called = self.contract.operations[operation or create.operations[0]]
        request = Draft()
        for place, value, name in (
            (create.input, dict(input), "an input"),
            (create.model, model, "a model"),
            (create.callback_url, callback_url, "a callback URL"),
            (create.number, count, "a count"),
        ):
            if value is not None:
                request.put(place, value, f"{called.id} has no place for {name}")
        began, pause = now(), _FIRST_PAUSE_SECONDS
        while True:
            left = timeout_seconds - (now() - began)
            try:
                patience = REQUEST_TIMEOUT_SECONDS if create.sync is None else left
                answer: Answer = yield self._writer.send(called, request, patience)
            except NoAnswer as error:
                kind = OutcomeUnknown if error.sent else Refused
                raise kind(f"the create got no answer: {error}", operation=called.id) from None
            try:
                jobs = self._accepted(create, called, dict(input), request, answer)
            except Refused as refused:
                asked = refused.retry_after_seconds
                wait = pause if asked is None else max(asked, _FIRST_PAUSE_SECONDS)
                if not self._passes(refused) or now() - began + wait >= timeout_seconds:
                    raise
            else:
                return [replace(job, model=job.model or model, operation=called.id) for job in jobs]
            yield Sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    def _create(self, operation: str | None) -> Create:
        creates = {name: create for create in self.job_type.creates for name in create.operations}
        if operation is not None and operation not in creates:
            raise UsageError(f'no create is called "{operation}"; {suggestion(operation, creates)}')
        return self.job_type.creates[0] if operation is None else creates[operation]

    def _accepted(
        self, create: Create, operation: Operation, given: dict[str, Json], request: Draft, answer: Answer
    ) -> list[Job]:
        """Return the jobs that an answer tells of, or raise why it tells of none."""
        view, body = create.reply, decoded(answer)
        scope = answer_scope(answer, body, request, given)
        found = self._error_in(operation, answer, body, scope, view)
        if found is not None:
            return self._refused(operation, answer, found)
        order = (State.SUCCEEDED, *State) if create.sync is not None else tuple(State)
        try:
            read = view.read(body, scope, order)
        except ReadError as error:
            what = f"the answer to the create cannot be read: {error}"
            raise OutcomeUnknown(what, operation=operation.id, status_code=answer.status) from None
        jobs = self.reader.jobs(read, view, scope)
        if not all(job.id or (create.sync is not None and _is_whole(job)) for job in jobs):
            what = "the answer to the create shows no job"
            raise OutcomeUnknown(what, operation=operation.id, status_code=answer.status)
        return jobs

    def _refused(self, operation: Operation, answer: Answer, found: Recognised) -> list[Job]:
        if found.rule is not None and found.rule.committed == "yes" and found.reading.get(("job", "id")):
            return [Job(**facts_of(found.reading, self.job_type.outputs))]
        if found.rule is not None:
            certain = found.rule.committed == "no"
        else:  # no rule of the contract: a 4xx is a refusal by HTTP's own words, but for 408
            certain = 400 <= answer.status < 500 and answer.status != 408
        kind: type[ClientError] = Refused if certain else OutcomeUnknown
        what = "the create was refused" if certain else "the create failed, and a job may have been made"
        raise self._error(kind, what, operation, answer, found)

    # --- errors ---

    def _error_in(
        self, operation: Operation, answer: Answer, body: Json, scope: Mapping[str, Any], *views: View
    ) -> Recognised | None:
        """Return the error that an answer tells of, or None when it is one of the views."""
        fits = any(succeeded(view, answer, scope) for view in views)
        if fits and 200 <= answer.status < 300:
            return None
        found = self.job_type.errors.recognise(operation.id, answer.status, body)
        return None if fits and found.rule is None else found  # a view may have the status of an error

    def _rules(self, error: ClientError) -> list[ErrorRule]:
        """Return what the contract has on a named error, in the operation that it was met in."""
        rules = self.job_type.errors.rules.get(error.name or "", ())
        return [rule for rule in rules if rule.operations is None or error.operation in rule.operations]

    def _passes(self, error: ClientError) -> bool:
        """Say whether the contract has it that an error can pass, or HTTP where the contract does not know it."""
        if error.name is None:
            return error.status_code == 429
        return any(rule.retry == "later" for rule in self._rules(error))

    # --- reads ---

    def status(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask once how a job is; see `Client.status`."""
        status = self._status()
        answer = yield from self._ask(status.operation, status.id, job, "the status")
        return self._told(job, answer)

    def _status(self) -> Status:
        if self.job_type.status is None:
            raise UsageError(f"{self.contract.name} has no operation that tells how a job is")
        return self.job_type.status

    def _told(self, job: Job, answer: Answer) -> Job:
        """Return a job as the answer to a status read tells of it."""
        status = self._status()
        operation = self.contract.operations[status.operation]
        body = decoded(answer)
        scope = answer_scope(answer, body)
        found = self._error_in(operation, answer, body, scope, status.reply)
        if found is not None:
            raise self._error(ProviderError, "the status could not be read", operation, answer, found, job)
        try:
            read = status.reply.read(body, scope, (job.state, *State))
        except ReadError as error:
            what = f"the status cannot be read: {error}"
            raise UnreadableReply(what, operation=operation.id, status_code=answer.status, job=job) from None
        return self.reader.job(read.reading, ("job",), status.reply, read.state, job)

    def _ask(
        self, name: str, place: Place, job: Job, what: str, patience: float = REQUEST_TIMEOUT_SECONDS
    ) -> Generator[Command, Any, Answer]:
        operation, request = self.contract.operations[name], Draft()
        if not job.id:
            raise UsageError(f"the job has no id, so {operation.id} cannot ask for it")
        request.put(place, job.id, f"{operation.id} has no place for an id")
        try:
            answer: Answer = yield self._writer.send(operation, request, patience)
        except NoAnswer as error:
            raise ProviderError(f"{what} got no answer: {error}", operation=operation.id, job=job) from None
        return answer

    def wait(self, job: Job, *, timeout_seconds: float | None, now: Now) -> Generator[Command, Any, Job]:
        """Wait for the end of a job; see `Client.wait`."""
        if job.terminal and (_is_whole(job) or not job.id):
            return ended(job)
        status = self._status()
        limit = timeout_seconds if timeout_seconds is not None else self.default_timeout_seconds
        began, pause, trouble = now(), _FIRST_PAUSE_SECONDS, None
        deadline = began + limit  # a moment, and not a rest of seconds: a clock can be too coarse for the last of them
        said: Answer | None = None  # a create may tell that a job has ended, and not how: one answer is heard
        while said is None or not job.terminal:
            elapsed, left = now() - began, deadline - now()
            if left <= 0:
                what = f"the job did not end within {limit:g} seconds"
                raise WaitTimeout(what, operation=job.operation or "", job=job) from trouble
            delay = _every(status.poll, elapsed)
            try:
                patience = min(REQUEST_TIMEOUT_SECONDS, left)
                answer = yield from self._ask(status.operation, status.id, job, "the status", patience)
                # an answer that says the same again is not read again
                if said is None or (answer.status, answer.body) != (said.status, said.body):
                    job, said = self._told(job, answer), answer
                pause, trouble = _FIRST_PAUSE_SECONDS, None
            except (ProviderError, UnreadableReply) as error:
                if not self._may_pass(error, elapsed):
                    raise
                # never sooner than the usual pace; a provider that asks for hours is looked at before
                asked = error.retry_after_seconds
                delay = max(delay, pause if asked is None else min(asked, MAX_PAUSE_SECONDS))
                pause, trouble = min(pause * 2, MAX_PAUSE_SECONDS), error
            if said is None or not job.terminal:
                yield Sleep(min(delay, max(deadline - now(), 0.0)))
        return ended(job)

    @property
    def default_timeout_seconds(self) -> float:
        """How long a wait lasts where the caller does not say."""
        status = self.job_type.status
        return (status.give_up_seconds if status is not None else None) or DEFAULT_TIMEOUT_SECONDS

    def _may_pass(self, error: ClientError, elapsed: float) -> bool:
        """Say whether a read that failed is worth repeating."""
        status = self._status()
        if error.name is not None and error.name == status.invisible_error:
            return elapsed <= status.invisible_seconds
        if self._passes(error):
            return True
        # the contract's status, where it has one: with errors in the body, the answer's own is 200 whatever happened
        codes = {rule.http for rule in self._rules(error)} or {error.status_code or 0}
        refused = all(400 <= code < 500 and code not in _PASSING for code in codes)
        return not refused and error.name not in _LASTING

    def cancel(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask for a job to be stopped, and see how it is then; see `Client.cancel`."""
        cancel = self.job_type.cancel
        if cancel is None:
            raise UsageError(f"{self.contract.name} has no operation that cancels a job")
        operation = self.contract.operations[cancel.operation]
        answer = yield from self._ask(cancel.operation, cancel.id, job, "the cancel")
        body = decoded(answer)
        found = self._error_in(operation, answer, body, answer_scope(answer, body), cancel.reply, cancel.refused)
        if found is not None:
            raise self._error(ProviderError, "the job could not be cancelled", operation, answer, found, job)
        return (yield from self.status(job))

    # --- streams and files ---

    def subscription(self, job: Job | None) -> Send:
        """Return the request that opens a stream of events."""
        events = self.job_type.events
        if events is None:
            raise UsageError(f"{self.contract.name} has no stream of events")
        request = Draft()
        if events.scope == "job":
            if job is None:
                raise UsageError(f"{self.contract.name} streams the events of one job: say which")
            request.put(events.id, job.id, "no place for an id")
        operation = self.contract.operations[events.operation]
        return self._writer.send(operation, request, REQUEST_TIMEOUT_SECONDS, "text/event-stream")

    def unsubscribed(self, answer: Answer) -> ClientError:
        """Return the error that a stream of events was answered with."""
        assert self.job_type.events is not None  # or there were no subscription
        operation = self.contract.operations[self.job_type.events.operation]
        found = self.job_type.errors.recognise(operation.id, answer.status, decoded(answer))
        return self._error(ProviderError, "the stream of events could not be opened", operation, answer, found)

    def download(self, output: Output) -> Generator[Command, Any, bytes]:
        """Fetch a result file; see `Client.download`."""
        if output.content is not None:
            return output.content
        if output.url is None:
            raise UsageError("this result has neither a link nor content")
        url, what = output.url, "the result file could not be fetched"
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer: Answer = yield self._writer.fetch(url)
                if answer.status in _REDIRECTS and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    continue
            except (NoAnswer, ValueError) as error:  # a ValueError: the location is no URL
                raise UnreadableReply(f"{what}: {error}") from None
            if not 200 <= answer.status < 300:
                raise UnreadableReply(what, status_code=answer.status)
            return answer.body
        raise UnreadableReply(f"{what}: it was moved {MAX_REDIRECTS} times and again")

    # --- parts ---

    def _error(
        self,
        kind: type[ClientError],
        what: str,
        operation: Operation,
        answer: Answer,
        found: Recognised,
        job: Job | None = None,
    ) -> ClientError:
        return kind(
            what,
            operation=operation.id,
            name=found.rule.name if found.rule is not None else None,
            status_code=answer.status,
            provider_message=found.message and self._writer.without_key(found.message),
            job=job,
            retry_after_seconds=retry_after(answer),
        )


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({"unauthorized", "credits", "notFound"})


def ended(job: Job) -> Job:
    """Return a job that has succeeded, or raise how else it ended.

    Raises:
        JobFailed: It failed.
        JobCancelled: It was cancelled.
        JobExpired: It is no longer kept.
    """
    if job.state not in _ENDINGS:
        return job
    kind, what = _ENDINGS[job.state]
    error = job.error or JobError()
    name = error.name or (str(error.code) if error.code is not None else None)
    raise kind(what, operation=job.operation or "", name=name, provider_message=error.message, job=job)


def _is_whole(job: Job) -> bool:
    """Say whether what came of a job is known: its result if it succeeded, and why if it failed."""
    if job.state is State.SUCCEEDED:
        return bool(job.outputs) or job.result is not None
    return job.error is not None if job.state is State.FAILED else job.terminal


def _every(poll: tuple[Pace, ...], elapsed: float) -> float:
    """Return the documented pause between polls so long after the create."""
    for pace in poll:
        if pace.until_seconds is None or elapsed < pace.until_seconds:
            return pace.every_seconds
    return poll[-1].every_seconds if poll else 2.0
