"""The flow that makes jobs, without I/O.

A create ends as accepted, refused for certain (`Refused`) or unknown (`OutcomeUnknown`). One whose outcome is unknown
is never repeated, unless the contract has a key by which it makes no second job; one that was refused with
`retry: later` is, after the wait that the provider asks for. Where the contract knows an answer, its word counts; where
it does not, HTTP's own: a 429 is refused for now.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from understudy.contract.catalogue import Recognised
from understudy.contract.creates import Create
from understudy.contract.expressions import first_value
from understudy.contract.operations import Operation
from understudy.contract.reading import ReadError
from understudy.contract.views import facts_of
from understudy.errors import ClientError, OutcomeUnknown, Refused, UsageError, suggestion
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
)
from understudy.lifecycle import Job, Json, State
from understudy.talk import Now, Talk, is_whole


class Submits(Talk):
    """Makes jobs."""

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
        if not isinstance(input, Mapping):
            raise UsageError(f'an input is an object, such as {{"prompt": "a lighthouse"}}, and not {input!r}')
        create = self._create(operation)
        called = self.contract.operations[operation or create.operations[0]]
        request = Draft()
        if create.idempotency is not None:  # before the input, which may have a key of its own
            request.put(create.idempotency.key, str(uuid.uuid4()), f"{called.id} has no place for a key")
            timeout_seconds = min(timeout_seconds, create.idempotency.seconds)
        for place, value, name in (
            (create.input, dict(input) if input or create.input else None, "an input"),
            (create.model, model, "a model"),
            (create.callback_url, callback_url, "a callback URL"),
            (create.number, count, "a count"),
        ):
            if value is not None:
                request.put(place, value, f"{called.id} has no place for {name}")
        began, pause, doubt = now(), FIRST_PAUSE_SECONDS, False
        while True:
            left = timeout_seconds - (now() - began)
            patience = REQUEST_TIMEOUT_SECONDS if create.sync is None else left
            try:
                jobs = yield from self._tried(create, called, dict(input), request, patience)
                return [replace(job, model=job.model or model, operation=called.id) for job in jobs]
            except (Refused, OutcomeUnknown) as error:
                doubt = doubt or isinstance(error, OutcomeUnknown)
                asked = error.retry_after_seconds
                wait = pause if asked is None else max(asked, FIRST_PAUSE_SECONDS)
                again = self._is_safe(error, create) if doubt else self._passes(error)
                if not again or now() - began + wait >= timeout_seconds:
                    if doubt and isinstance(error, Refused):
                        raise self._unknown(error) from error
                    raise
            yield Sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    def _tried(
        self, create: Create, operation: Operation, given: dict[str, Json], request: Draft, patience: float
    ) -> Generator[Command, Any, list[Job]]:
        """Ask once for jobs."""
        try:
            answer: Answer = yield self._writer.send(operation, request, patience)
        except NoAnswer as error:
            kind = OutcomeUnknown if error.sent else Refused
            raise self._error(kind, "the create got no answer", operation.id, cause=error) from None
        return self._accepted(create, operation, given, request, answer)

    def _is_safe(self, error: ClientError, create: Create) -> bool:
        """Say whether a create that may have made a job is repeated: where its key lets it make no second one."""
        if create.idempotency is None:
            return False
        lost = isinstance(error, OutcomeUnknown) or error.status_code is None
        return lost or error.name == create.idempotency.conflict or self._passes(error)

    def _unknown(self, refused: Refused) -> ClientError:
        """Return what the refusal of a repetition says of the create: a job may have been made before."""
        return OutcomeUnknown(
            "the create got no answer, and when it was repeated it was refused",
            operation=refused.operation,
            name=refused.name,
            status_code=refused.status_code,
            provider_message=refused.provider_message,
            retry_after_seconds=refused.retry_after_seconds,
        )

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
            return self._refused(operation, answer, found, first_value(create.model, scope))
        order = (State.SUCCEEDED, *State) if create.sync is not None else tuple(State)
        try:
            read = view.read(body, scope, order)
        except ReadError as error:
            what = "the answer to the create cannot be read"
            raise self._error(OutcomeUnknown, what, operation.id, cause=error, answer=answer) from None
        jobs = self.reader.jobs(read, view, scope)
        links = self.reader.links(scope)
        if links and len(jobs) == 1:
            jobs = [replace(jobs[0], links=links)]
        if not all(job.id or (create.sync is not None and is_whole(job)) for job in jobs):
            raise self._error(OutcomeUnknown, "the answer to the create shows no job", operation.id, answer=answer)
        return jobs

    def _refused(self, operation: Operation, answer: Answer, found: Recognised, model: Json) -> list[Job]:
        if found.rule is not None and found.rule.committed == "yes" and found.reading.get(("job", "id")):
            facts = facts_of(found.reading, self.job_type.outputs)
            state = self.job_type.words.state_named(facts.get("status")) or State.QUEUED
            return [Job(**{**facts, "state": state})]
        if found.rule is not None:
            certain = found.rule.committed == "no"
        else:  # no rule of the contract: a 4xx is a refusal by HTTP's own words, but for 408
            certain = 400 <= answer.status < 500 and answer.status != 408
        kind: type[ClientError] = Refused if certain else OutcomeUnknown
        what = "the create was refused" if certain else "the create failed, and a job may have been made"
        if found.rule is not None and found.rule.name == "unknownModel" and model not in self.job_type.models:
            what += f': the contract has no model "{model}"; {suggestion(str(model), self.job_type.models)}'
        raise self._error(kind, what, operation.id, answer=answer, found=found)
