"""Walk through a contract as its reference client would: make a job at the fake, see it to its end, have its files."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from understudy.behaviour import Behaviour
from understudy.clock import VirtualClock
from understudy.contract.expressions import Expression, first_value
from understudy.contract.model import Contract, Create
from understudy.errors import ClockExhausted, Refused, UnderstudyError
from understudy.exchange import Answer, Command, Sleep
from understudy.fake import API_KEY
from understudy.flows import Flows
from understudy.lifecycle import Job
from understudy.probes import sample_body, sample_parameters
from understudy.provider import Provider
from understudy.reach import host_of
from understudy.wire import Reply, Request, RequestView, Wait

T = TypeVar("T")


def walk(contract: Contract, behaviour: Behaviour) -> None:
    """Have a job made by each way of making one; what a client meets is noted in the document of the contract."""
    kind = contract.job_type  # which a client means
    for index, group in enumerate(kind.creates):
        for text in _Walk(contract, behaviour).take(group):
            contract.document.problem(("x-jobs", kind.name, "create", index), text)


@dataclass
class _Walk:
    """One job, made and seen to its end."""

    contract: Contract
    behaviour: Behaviour

    def __post_init__(self) -> None:
        self._clock = VirtualClock()
        self._provider = Provider(self.contract, self.behaviour, clock=self._clock)

    def take(self, group: Create) -> list[str]:
        """Return what a client meets that it should not."""
        operation = self.contract.operations[group.operations[0]]
        given, body = sample_parameters(self.contract, operation), sample_body(self.contract, operation)
        scope = {"request": RequestView(body, given["query"], given["headers"], given["path"])}
        known = {name: str(value) for part in given.values() for name, value in part.items()}
        flows = Flows(self.contract, api_key=API_KEY, parameters=known)
        is_asked = all(isinstance(item, Expression) for item in group.model)  # or the operation is of one model
        model, input = first_value(group.model, scope) if is_asked else None, first_value(group.input, scope)
        try:
            jobs = self._carried(
                flows.submit(
                    input if isinstance(input, dict) else {},
                    model=model if isinstance(model, str) else None,
                    callback_url=None,
                    operation=operation.id,
                    count=None,
                    timeout_seconds=60,
                    now=self._clock.now,
                )
            )
            job = jobs[0]
            if self.contract.job_type.status is not None:
                waiting = flows.waiting(job, timeout_seconds=None, now=self._clock.now)
                job = self._carried(flows.wait(waiting, self._clock.now))
        except (UnderstudyError, ClockExhausted) as error:
            if isinstance(error, Refused) and error.name == "invalid":
                return []  # what was made up for it is nothing that it takes
            return [f"a client cannot have a job of {operation.id}: {str(error).replace(chr(10), ';')}"]
        return self._lacking(job)

    def _lacking(self, job: Job) -> list[str]:
        made = list(self._provider.plays.values())
        files = made[0].job.outputs if made and self.contract.job_type.outputs is not None else ()
        found = [output for output in job.outputs if output.url or output.content]
        if job.terminal and len(found) < len(files):
            return [
                f"a client gets {len(found)} of the {len(files)} files that were made: the rest has no link, nor bytes"
            ]
        return []

    def _carried(self, flow: Generator[Command, Any, T]) -> T:
        """Carry what a client asks to the fake, and back, in virtual time."""
        result: Any = None
        try:
            while True:
                command = flow.send(result)
                if isinstance(command, Sleep):
                    self._clock.sleep(command.seconds)
                    result = None
                    continue
                address = urlsplit(command.url)
                headers = [(name.lower(), value) for name, value in command.headers]
                request = Request(command.method, address.path, address.query, headers, command.body)
                request.host = host_of(command.url)
                outcome = self._provider.handle(request)
                while isinstance(outcome, Wait):
                    self._clock.sleep(outcome.until - self._clock.now())
                    outcome = outcome.resume()
                assert isinstance(outcome, Reply)  # nothing goes wrong in the usual story
                answered = {name.lower(): value for name, value in outcome.headers}
                result = Answer(outcome.status, answered, outcome.body, self._clock.now())
        except StopIteration as end:
            value: T = end.value
            return value
