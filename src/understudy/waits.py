"""The flows that ask how a job is, without I/O: once, until it has ended, and after it was told to stop.

- A read is repeated after an error that may pass, until the deadline: a bad poll does not lose a job that was paid for.
- Nothing is asked before a Retry-After has passed, however long: what does not fit before the deadline is not asked.
- What the provider says is read backwards from the contract's own views; a word that is not listed ends no wait, unless
  the contract says that it means failure.
- A callback is a hint, and no more: anybody can send one. What the provider answers counts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from understudy.contract.endings import Ending
from understudy.contract.expressions import placed
from understudy.contract.model import Result, Status
from understudy.contract.reading import ReadError
from understudy.contract.views import View
from understudy.errors import (
    ClientError,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobFailed,
    ProviderError,
    UnreadableReply,
    UsageError,
    WaitTimeout,
)
from understudy.exchange import (
    FIRST_PAUSE_SECONDS,
    MAX_PAUSE_SECONDS,
    REQUEST_TIMEOUT_SECONDS,
    Answer,
    Command,
    Draft,
    NoAnswer,
    Sleep,
    answer_scope,
    decoded,
    retry_after,
)
from understudy.lifecycle import Job, JobError, State
from understudy.talk import Now, Talk, is_whole

if TYPE_CHECKING:
    from understudy.inbox import Inbox

#: How long a wait lasts where neither the caller nor the contract says, in seconds.
DEFAULT_TIMEOUT_SECONDS = 600.0

#: The pause between polls where neither the contract nor the provider says, in seconds.
USUAL_PAUSE_SECONDS = 2.0

#: How long a wait believes that it will be told: then it asks, at the usual pace, in seconds.
SILENCE_SECONDS = 60.0

#: How often a wait that expects to be told looks whether it was, in seconds.
GLANCE_SECONDS = 1.0

_ENDINGS: Final[Mapping[State, tuple[type[JobEnded], str]]] = {
    State.FAILED: (JobFailed, "the job failed"),
    State.CANCELLED: (JobCancelled, "the job was cancelled"),
    State.EXPIRED: (JobExpired, "the job is no longer kept"),
}
_PASSING = frozenset({408, 425, 429})
_LASTING = frozenset({"unauthorized", "credits", "notFound"})


@dataclass(slots=True)
class Waiting:
    """A wait that is under way; moments are in unix seconds.

    Attributes:
        job: The job as last seen.
        began: When it began.
        limit_seconds: How long it may last.
        due: When the usual pace has it that the job is asked for.
        inbox: Where a callback may come in; None once one has.
        quiet_until: Before this nothing is asked: the provider wants it so.
        pause: How long after the next trouble nothing is asked, where the provider does not say, in seconds.
        trouble: What went wrong, unless all was well since.
        said: The last answer; None where what it said is out of date.
    """

    job: Job
    began: float
    limit_seconds: float
    due: float
    inbox: Inbox | None = None
    quiet_until: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    trouble: ClientError | None = None
    said: Answer | None = None

    @property
    def deadline(self) -> float:
        """When it ends: a moment, and not a rest of seconds: a clock can be too coarse for the last of them."""
        return self.began + self.limit_seconds

    @property
    def over(self) -> bool:
        """Whether the job has ended, and an answer has told so."""
        return self.said is not None and self.job.terminal

    def pause_from(self, now: float) -> float:
        """Return for how long there is nothing to do; a wait that expects a callback looks for it meanwhile."""
        told = self.inbox.jobs.get(self.job.id) if self.inbox is not None else None
        if told is not None and told.terminal:
            self.inbox, self.due = None, now  # a hint counts once: if it was wrong, the usual pace is right
        glance = now + GLANCE_SECONDS if self.inbox is not None else self.deadline
        return min(max(self.due, self.quiet_until), self.deadline, glance) - now

    def heard(self, answer: Answer) -> float:
        """Take note of a good answer; return for how long it wants silence, in seconds."""
        self.pause, self.trouble = FIRST_PAUSE_SECONDS, None
        return retry_after(answer) or 0.0

    def met(self, error: ClientError) -> float:
        """Take note of trouble; return how long nothing is asked after it, in seconds."""
        asked, self.trouble = error.retry_after_seconds, error
        quiet = self.pause if asked is None else asked
        self.pause = min(self.pause * 2, MAX_PAUSE_SECONDS)
        return quiet

    def rest(self, now: float, pace: float, quiet: float) -> None:
        """Say when the job is asked for again: never sooner than the usual pace, nor than it is wanted."""
        self.due, self.quiet_until = max(self.due, now + pace), max(self.quiet_until, now + quiet)


class Waits(Talk):
    """Asks how jobs are."""

    def status(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask once how a job is; see `Client.status`."""
        status = self._status()
        answer = yield from self._ask("status", status, job)
        return self._heard(job, answer, status, "the status")

    def result(self, job: Job) -> Generator[Command, Any, Job]:
        """Ask once for what came of a job; see `Client.result`."""
        result = self.job_type.result
        if result is None:
            raise UsageError(f"{self.contract.name} has no operation for the result: its status tells it")
        answer = yield from self._ask("result", result, job)
        return self._heard(job, answer, result, "the result")

    def _status(self) -> Status:
        if self.job_type.status is None:
            raise UsageError(f"{self.contract.name} has no operation that tells how a job is")
        return self.job_type.status

    def _heard(self, job: Job, answer: Answer, part: Status | Result, what: str) -> Job:
        """Return a job as an answer tells of it."""
        operation = self.contract.operations[part.operation]
        body = decoded(answer)
        scope = answer_scope(answer, body)
        found = self._error_in(operation, answer, body, scope, part.reply)
        if found is not None:
            what = f"{what} could not be read"
            raise self._error(ProviderError, what, operation.id, answer=answer, found=found, job=job)
        try:
            read = part.reply.read(body, scope, (job.state, *State))
        except ReadError as error:
            what = f"{what} cannot be read"
            raise self._error(UnreadableReply, what, operation.id, cause=error, answer=answer, job=job) from None
        return self.reader.job(read.reading, ("job",), part.reply, read.state, job)

    def _ask(
        self, name: str, part: Status | Result | Ending, job: Job, patience: float = REQUEST_TIMEOUT_SECONDS
    ) -> Generator[Command, Any, Answer]:
        operation, request = self.contract.operations[part.operation], Draft()
        if not job.id:
            raise UsageError(f"the job has no id, so {operation.id} cannot ask for it")
        named: str | None = job.id
        if isinstance(part, Result) and part.minted is not None:
            named = job.result_id
            if named is None:
                raise self._error(UnreadableReply, "the status tells no id of the result", operation.id, job=job)
        request.put(part.id, named, f"{operation.id} has no place for an id")
        group = next((group for group in self.job_type.creates if job.operation in group.operations), None)
        if group is not None and job.model is not None:  # a path may have the model once more
            request.path = {**dict.fromkeys(placed(group.model, "path"), job.model), **request.path}
        try:
            link = (job.links or {}).get(name)
            answer: Answer = yield self._writer.send(operation, request, patience, link=link)
        except NoAnswer as error:
            what = f"the {name} got no answer"
            raise self._error(ProviderError, what, operation.id, cause=error, job=job) from None
        return answer

    def waiting(self, job: Job, *, timeout_seconds: float | None, now: Now, inbox: Inbox | None = None) -> Waiting:
        """Begin to wait for the end of a job; see `Client.wait`."""
        limit = timeout_seconds if timeout_seconds is not None else self.default_timeout_seconds
        began = now()
        hint = _hint(job) or 0.0
        job = replace(job, poll_after_seconds=None) if hint else job  # what was said before is for the first poll
        return Waiting(job, began, limit, began + (hint if inbox is None else SILENCE_SECONDS), inbox)

    def wait(self, waiting: Waiting, now: Now) -> Generator[Command, Any, Job]:
        """Wait until the job has ended, or the deadline has come."""
        if not (waiting.job.terminal and (is_whole(waiting.job) or not waiting.job.id)):
            self._status()  # or there is nothing to wait by
            while not waiting.over:  # a create may tell that a job has ended, and not how: one answer is heard
                pause = waiting.pause_from(now())
                if pause > 0:
                    yield Sleep(pause)
                else:
                    yield from self.look(waiting, now)
        return self.ended(waiting.job)

    def look(self, waiting: Waiting, now: Now) -> Generator[Command, Any, None]:
        """Ask once how the job is; an error that may pass is taken note of."""
        status, job, said = self._status(), waiting.job, waiting.said
        elapsed, left = now() - waiting.began, waiting.deadline - now()
        if left <= 0:
            what = f"the job did not end within {waiting.limit_seconds:g} seconds"
            raise self._error(WaitTimeout, what, job.operation or "", job=job) from waiting.trouble
        try:
            patience = min(REQUEST_TIMEOUT_SECONDS, left)
            answer = yield from self._ask("status", status, job, patience)
            # an answer that says the same again is not read again
            if said is None or _words(status, answer) != _words(status, said):
                told = self._heard(job, answer, status, "the status")
                if told.terminal and not is_whole(told) and self.job_type.result is not None:
                    told = yield from self.result(told)
                waiting.job, waiting.said = told, answer
            quiet = waiting.heard(answer)
        except (ProviderError, UnreadableReply) as error:
            if not self._may_pass(error, elapsed):
                raise
            quiet = waiting.met(error)
        pace = _hint(waiting.job) or status.every_seconds(elapsed) or USUAL_PAUSE_SECONDS
        waiting.rest(now(), pace, quiet)

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
        yield from self._end(cancel, job, "cancel", cancel.reply, cancel.refused)
        return (yield from self.status(job))

    def delete(self, job: Job) -> Generator[Command, Any, None]:
        """Ask for a job to be removed; see `Client.delete`."""
        delete = self.job_type.delete
        if delete is None:
            raise UsageError(f"{self.contract.name} has no operation that deletes a job")
        yield from self._end(delete, job, "delete", delete.reply)

    def _end(self, ending: Ending, job: Job, what: str, *views: View) -> Generator[Command, Any, None]:
        answer = yield from self._ask(what, ending, job)
        operation, body = self.contract.operations[ending.operation], decoded(answer)
        found = self._error_in(operation, answer, body, answer_scope(answer, body), *views)
        if found is not None:
            text = f"the {what} was refused"
            raise self._error(ProviderError, text, operation.id, answer=answer, found=found, job=job)

    def ended(self, job: Job) -> Job:
        """Return a job that has succeeded, or raise how else it ended."""
        if job.state not in _ENDINGS:
            return job
        kind, what = _ENDINGS[job.state]
        job = self._shown(job)
        error = job.error or JobError()
        name = error.name or (str(error.code) if error.code is not None else None)
        message, unit = error.message, self.job_type.unit
        raise kind(what, operation=job.operation or "", name=name, provider_message=message, job=job, unit=unit)


def _words(status: Status, answer: Answer) -> tuple[int, bytes, list[str | None]]:
    """Return all that an answer is read from."""
    return answer.status, answer.body, [answer.headers.get(name.lower()) for name, _ in status.reply.headers]


def _hint(job: Job) -> float | None:
    """Return how long the provider wants to wait before it is asked for a job, where that is a wait."""
    hint = job.poll_after_seconds
    return hint if hint is not None and hint > 0 else None
