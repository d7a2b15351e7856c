"""The reference client's flows, as generators over requests and replies: no I/O, and one copy for sync and async.

A flow yields `Send` or `Sleep` and is sent the `Answer`, or has `NoAnswer` thrown into it. Its rules:

- A create ends as accepted, refused for certain (`Refused`) or unknown (`OutcomeUnknown`). One whose outcome is
  unknown is never repeated; one that was refused with `retry: later` is, after the wait that the provider asks for.
- A read is repeated after an error that may pass, until the deadline: a bad poll does not lose a job that was paid for.
- What the provider says is read backwards from the contract's own views; a word that is not listed ends no wait, unless
  the contract says that it means failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from understudy.contract.catalogue import Recognised
from understudy.contract.codecs import dump_json
from understudy.contract.expressions import Place
from understudy.contract.model import Contract, Create, JobType, Pace
from understudy.contract.operations import Operation
from understudy.contract.templates import ReadError
from understudy.contract.views import facts_of, prefixes
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
    Answer,
    Command,
    Draft,
    NoAnswer,
    Send,
    Sleep,
    answer_scope,
    decoded,
    retry_after,
    succeeded,
)
from understudy.lifecycle import Job, JobError, Json, State
from understudy.reader import Reader

#: How long a wait lasts where neither the caller nor the contract says, in seconds.
DEFAULT_TIMEOUT_SECONDS = 600.0

#: How long one request may take; a create that blocks until its job ends may take as long as a wait.
REQUEST_TIMEOUT_SECONDS = 30.0

_ENDINGS: Final[Mapping[State, type[JobEnded]]] = {
    State.FAILED: JobFailed,
    State.CANCELLED: JobCancelled,
    State.EXPIRED: JobExpired,
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
        self._api_key = api_key
        self._base_url = None if base_url is None else base_url.rstrip("/")

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
    ) -> Generator[Command, Any, list[Job]]:
        """Make jobs; see `Client.submit_many`."""
        create = self._create(operation)
        called = self.contract.operations[operation or create.operations[0]]
        request = Draft()
        for place, value, name in (
            (create.input, dict(input), "an input"),
            (create.model, model, "a model"),
            (create.callback_url, callback_url, "a callback URL"),
            (create.count, count, "a count"),
        ):
            if value is not None:
                request.put(place, value, f"{called.id} takes no place for {name}")
        patience = timeout_seconds if create.sync is not None else REQUEST_TIMEOUT_SECONDS
        send = self._send(called, request, patience)
        spent_seconds, pause = 0.0, 1.0
        while True:
            try:
                answer: Answer = yield send
            except NoAnswer as error:
                kind = OutcomeUnknown if error.sent else Refused
                raise kind(f"the create got no answer: {error}", operation=called.id) from None
            try:
                jobs = self._accepted(create, called, dict(input), request, answer)
            except Refused as refused:
                wait = refused.retry_after_seconds if refused.retry_after_seconds is not None else pause
                if not self._passes(refused.name) or spent_seconds + wait > timeout_seconds:
                    raise
            else:
                return [replace(job, model=job.model or model, operation=called.id) for job in jobs]
            yield Sleep(wait)
            spent_seconds, pause = spent_seconds + wait, min(pause * 2, MAX_PAUSE_SECONDS)

    def _create(self, operation: str | None) -> Create:
        creates = {name: create for create in self.job_type.creates for name in create.operations}
        if not creates:
            raise UsageError(f"{self.contract.name} has no operation that makes jobs")
        if operation is not None and operation not in creates:
            raise UsageError(f'no create is called "{operation}"; {suggestion(operation, creates)}')
        return self.job_type.creates[0] if operation is None else creates[operation]

    def _accepted(
        self, create: Create, operation: Operation, given: dict[str, Json], request: Draft, answer: Answer
    ) -> list[Job]:
        """Return the jobs that an answer tells of, or raise why it tells of none."""
        view, body = create.reply, decoded(answer)
        scope = answer_scope(answer, body, request, given)
        if not succeeded(view, answer, scope):
            return self._refused(operation, answer, body)
        order = (State.SUCCEEDED, *State) if create.sync is not None else tuple(State)
        try:
            read = view.read(body, scope, order)
        except ReadError as error:
            what = f"the create succeeded, but its answer cannot be read: {error}"
            raise OutcomeUnknown(what, operation=operation.id, status_code=answer.status) from None
        jobs = [self.reader.job(read.reading, prefix, view, read.state, None) for prefix in prefixes(read.reading)]
        if create.sync is None and not all(job.id for job in jobs):
            what = "the create succeeded, but its answer has no id"
            raise OutcomeUnknown(what, operation=operation.id, status_code=answer.status)
        return jobs

    def _refused(self, operation: Operation, answer: Answer, body: Json) -> list[Job]:
        found = self.job_type.errors.recognise(operation.id, answer.status, body)
        if found.rule is not None and found.rule.committed == "yes" and ("job", "id") in found.reading:
            return [Job(**{"id": "", **facts_of(found.reading, self.job_type.outputs)})]
        if found.rule is not None:
            certain = found.rule.committed == "no"
        else:  # no rule of the contract: a 4xx is a refusal by HTTP's own words, but for 408
            certain = 400 <= answer.status < 500 and answer.status != 408
        kind: type[ClientError] = Refused if certain else OutcomeUnknown
        what = "the create was refused" if certain else "the create failed, and a job may have been made"
        raise self._error(kind, what, operation, answer, found)

    def _passes(self, name: str | None) -> bool:
        """Say whether the contract has it that a named error can pass."""
        return any(rule.retry == "later" for rule in self.job_type.errors.rules.get(name or "", ()))

    # --- reads ---

    def status(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask once how a job is; see `Client.status`."""
        status = self.job_type.status
        if status is None:
            raise UsageError(f"{self.contract.name} has no operation that tells how a job is")
        operation = self.contract.operations[status.operation]
        answer = yield from self._ask(operation, status.id, job, "the status")
        body = decoded(answer)
        scope = answer_scope(answer, body)
        if not succeeded(status.reply, answer, scope):
            found = self.job_type.errors.recognise(operation.id, answer.status, body)
            raise self._error(ProviderError, "the status could not be read", operation, answer, found, job)
        try:
            read = status.reply.read(body, scope)
        except ReadError as error:
            what = f"the status cannot be read: {error}"
            raise UnreadableReply(what, operation=operation.id, status_code=answer.status, job=job) from None
        return self.reader.job(read.reading, ("job",), status.reply, read.state, job)

    def _ask(self, operation: Operation, place: Place, job: Job, what: str) -> Generator[Command, Any, Answer]:
        request = Draft()
        request.put(place, job.id, f"{operation.id} has no place for an id")
        try:
            answer: Answer = yield self._send(operation, request, REQUEST_TIMEOUT_SECONDS)
        except NoAnswer as error:
            raise ProviderError(f"{what} got no answer: {error}", operation=operation.id, job=job) from None
        return answer

    def wait(self, job: Job, *, timeout_seconds: float | None, now: Now) -> Generator[Command, Any, Job]:
        """Wait for the end of a job; see `Client.wait`."""
        status = self.job_type.status
        limit = timeout_seconds if timeout_seconds is not None else self.default_timeout_seconds
        began, pause, trouble = now(), 1.0, None
        while not job.terminal:
            elapsed = now() - began
            if elapsed >= limit:
                what = f"the job did not end within {limit:g} seconds"
                raise WaitTimeout(what, operation=job.operation or "", job=job) from trouble
            delay = _every(status.poll if status is not None else (), elapsed)
            try:
                job = yield from self.status(job)
                pause, trouble = 1.0, None
            except (ProviderError, UnreadableReply) as error:
                if not self._may_pass(error, elapsed):
                    raise
                trouble = error
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
                delay = error.retry_after_seconds if error.retry_after_seconds is not None else max(delay, pause / 2)
            if not job.terminal:
                yield Sleep(min(delay, max(limit - (now() - began), 0.0)))
        return ended(job)

    @property
    def default_timeout_seconds(self) -> float:
        """How long a wait lasts where the caller does not say."""
        status = self.job_type.status
        return (status.give_up_seconds if status is not None else None) or DEFAULT_TIMEOUT_SECONDS

    def _may_pass(self, error: ClientError, elapsed: float) -> bool:
        """Say whether a read that failed is worth repeating."""
        status = self.job_type.status
        if status is not None and error.name is not None and error.name == status.invisible_error:
            return elapsed <= status.invisible_seconds
        if self._passes(error.name):
            return True
        refusal = error.status_code is not None and 400 <= error.status_code < 500 and error.status_code not in _PASSING
        return not refusal and error.name not in _LASTING

    def cancel(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask for a job to be stopped, and see how it is then; see `Client.cancel`."""
        cancel = self.job_type.cancel
        if cancel is None:
            raise UsageError(f"{self.contract.name} has no operation that cancels a job")
        operation = self.contract.operations[cancel.operation]
        answer = yield from self._ask(operation, cancel.id, job, "the cancel")
        body = decoded(answer)
        views = (cancel.reply, cancel.refused)
        if not any(succeeded(view, answer, answer_scope(answer, body)) for view in views):
            found = self.job_type.errors.recognise(operation.id, answer.status, body)
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
        return self._send(self.contract.operations[events.operation], request, REQUEST_TIMEOUT_SECONDS)

    def opened(self, status: int) -> None:
        """Take note of the status that a stream was opened with, or raise ProviderError."""
        if not 200 <= status < 300:
            events = self.job_type.events
            name = events.operation if events is not None else ""
            raise ProviderError("the stream of events could not be opened", operation=name, status_code=status)

    def fetch(self, url: str) -> Send:
        """Return the request for a result file; the key goes along only where the contract asks for it."""
        assets = self.job_type.assets
        home = [self._base_url] if self._base_url else list(self.contract.servers)
        if assets is not None and assets.url.parts:
            home.append(str(assets.url.parts[0]))
        ours = any(_origin(url) == _origin(place) for place in home)
        headers = self._key_headers(self.contract.operations) if assets and assets.needs_key and ours else ()
        return Send("GET", url, tuple(headers), b"", REQUEST_TIMEOUT_SECONDS)

    # --- parts ---

    def _send(self, operation: Operation, request: Draft, timeout_seconds: float) -> Send:
        path = operation.path
        for name, value in request.path.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        url = (self._base_url or operation.server) + path
        query = {**request.query}
        for security in operation.security:
            if security.place == "query":
                query[security.name] = self._api_key
        if query:
            url = f"{url}?{urlencode(query)}"
        headers = [("accept", "application/json, */*"), *self._key_headers({operation.id: operation}), *request.headers]
        body = b""
        if request.body is not None:
            headers.append(("content-type", "application/json"))
            body = dump_json(request.body).encode()
        return Send(operation.method, url, tuple(headers), body, timeout_seconds)

    def _key_headers(self, operations: Mapping[str, Operation]) -> list[tuple[str, str]]:
        for operation in operations.values():
            for security in operation.security:
                if security.place == "header":
                    return [(security.name, f"{security.scheme} {self._api_key}".strip())]
        return []

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
            provider_message=found.message,
            job=job,
            retry_after_seconds=retry_after(answer),
        )


_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({"unauthorized", "credits", "notFound"})


def ended(job: Job) -> Job:
    """Return a job that has succeeded, or raise how else it ended.

    Raises:
        JobFailed: It failed.
        JobCancelled: It was cancelled.
        JobExpired: It is no longer kept.
    """
    kind = _ENDINGS.get(job.state)
    if kind is None:
        return job
    error = job.error or JobError()
    name = str(error.code) if error.code is not None else None
    raise kind(
        f"the job {job.state}", operation=job.operation or "", name=name, provider_message=error.message, job=job
    )


def _every(poll: tuple[Pace, ...], elapsed: float) -> float:
    """Return the documented pause between polls so long after the create."""
    for pace in poll:
        if pace.until_seconds is None or elapsed < pace.until_seconds:
            return pace.every_seconds
    return poll[-1].every_seconds if poll else 2.0


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0].lower()
