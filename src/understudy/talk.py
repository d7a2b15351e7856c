"""What every flow of the reference client is made of: asking, and what an answer is that tells of an error.

A flow yields `Send` or `Sleep` and is sent the `Answer`, or has `NoAnswer` thrown into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from understudy.contract.catalogue import ErrorRule, Recognised
from understudy.contract.model import Contract, JobType
from understudy.contract.operations import Operation
from understudy.contract.views import View
from understudy.errors import ClientError, OutcomeUnknown
from understudy.exchange import Answer, Writer, retry_after, succeeded
from understudy.lifecycle import Job, Json, State
from understudy.reader import Reader

# So much of an answer is shown that nothing in the contract knows.
_SHOWN_BYTES = 200

Now = Callable[[], float]


class Talk:
    """The parts of a talk with one provider.

    Args:
        contract: The provider's contract.
        api_key: The key.
        base_url: Where the provider is, instead of its own servers.
        parameters: What parameters are in every request that has them, by name.
        now: Tells the time, in unix seconds, for a key that is a pair.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        api_key: str,
        base_url: str | None = None,
        parameters: Mapping[str, Json] | None = None,
        now: Now | None = None,
    ) -> None:
        self.contract = contract
        self.job_type: JobType = contract.job_type
        self.reader = Reader(contract)
        self._writer = Writer(contract, api_key, base_url, parameters, now)

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

    def _error(
        self,
        kind: type[ClientError],
        what: str,
        operation: str,
        *,
        cause: Exception | None = None,
        answer: Answer | None = None,
        found: Recognised | None = None,
        job: Job | None = None,
    ) -> ClientError:
        """Return an error with all that is known, and without the key: some providers repeat one that they refuse."""
        rule = found.rule if found is not None else None
        message = found.message if found is not None else None
        if message is None and rule is None and answer is not None and issubclass(kind, OutcomeUnknown):
            message = answer.body[:_SHOWN_BYTES].decode("utf-8", "replace") or None  # all that there is to go by
        return kind(
            what if cause is None else f"{what}: {self._writer.without_key(str(cause))}",
            operation=operation,
            name=rule.name if rule is not None else None,
            status_code=answer.status if answer is not None else None,
            provider_message=message and self._writer.without_key(message),
            job=job and self._shown(job),
            retry_after_seconds=retry_after(answer) if answer is not None else None,
            meant_status=self._meant(rule, operation) if rule is not None else None,
            unit=self.job_type.unit,
        )

    def _meant(self, rule: ErrorRule, operation: str) -> int:
        """Return the HTTP status that an error means: one of a cancel alone is a conflict with how the job is."""
        refuses = rule.operations is not None and bool(self.job_type.endings(operation))
        return 409 if refuses and rule.http < 500 else rule.http

    def _shown(self, job: Job) -> Job:
        """Return a job as an error may show it, in whose words the key may be as well."""
        clean = self._writer.without_key
        error = job.error and replace(job.error, message=job.error.message and clean(job.error.message))
        word = clean(str(job.status))
        shown = replace(job, error=error, status=job.status if word == str(job.status) else word)
        return job if shown == job else shown


def is_whole(job: Job) -> bool:
    """Say whether what came of a job is known: its result if it succeeded, and why if it failed."""
    if job.state is State.SUCCEEDED:
        return bool(job.outputs) or job.result is not None
    return job.error is not None if job.state is State.FAILED else job.terminal
