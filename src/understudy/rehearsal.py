"""Play each scenario of a fake once, and see that its story is told to the end."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.behaviour import Behaviour
from understudy.clock import VirtualClock
from understudy.contract.codecs import CodecError
from understudy.contract.loader import Document
from understudy.contract.model import Contract
from understudy.errors import ClockExhausted
from understudy.lifecycle import TERMINAL, Job, Json, State
from understudy.probes import PACE_SECONDS, naming, request_to
from understudy.provider import Provider
from understudy.scenario import Scenario
from understudy.wire import Reply, Request, Wait


def rehearse(
    contract: Contract, behaviour: Behaviour, given: Mapping[str, Json], documents: Mapping[str, Document]
) -> None:
    """Play the usual story and every scenario; problems are noted in the documents.

    Args:
        contract: What the provider promises.
        behaviour: How its fake acts.
        given: What its create takes, as in a recording.
        documents: The scenario files by name, and under the empty name the behaviour file.
    """
    _Rehearsal(contract, behaviour, None, documents[""]).play(given)
    for name, scenario in behaviour.scenarios.items():
        _Rehearsal(contract, behaviour, scenario, documents[name]).play(given)


class _Rehearsal:
    """One story, being played."""

    def __init__(self, contract: Contract, behaviour: Behaviour, scenario: Scenario | None, document: Document) -> None:
        self._contract = contract
        self._behaviour = behaviour
        self._scenario = scenario
        self._document = document
        self._struck = set() if scenario is None else {rule.on for rule in scenario.faults}
        self._clock = VirtualClock()
        name = None if scenario is None else scenario.name
        self._provider = Provider(contract, behaviour, clock=self._clock, scenario=name)
        if scenario is not None:
            self._provider.plan_next(scenario.plan)  # whatever its `when` and `nth` choose

    def play(self, given: Mapping[str, Json]) -> None:
        try:
            reply = self._create(given)
            if "create" in self._struck or (self._as_told(reply) and reply.jobs):
                for job_id in self._provider.plays:
                    self._follow(job_id)
        except ClockExhausted as error:
            self._problem("timeline", f"the story never ends: {str(error).splitlines()[0]}")
        except CodecError as error:
            self._problem("timeline", f"the fake cannot make what it says here: {error} is expected")

    def _problem(self, key: str, text: str) -> None:
        self._document.problem((key,), text)

    def _create(self, given: Mapping[str, Json]) -> Reply:
        operation = self._contract.operations[self._contract.job_type.creates[0].operations[0]]
        outcome = self._provider.handle(request_to(operation, given))
        while isinstance(outcome, Wait):
            self._clock.sleep(outcome.until - self._clock.now())
            outcome = outcome.resume()
        return outcome if isinstance(outcome, Reply) else Reply(0, [], b"")  # a fault has cut the connection

    def _as_told(self, reply: Reply) -> bool:
        """Say whether the create is answered as the story has it."""
        wanted = None if self._scenario is None else self._scenario.plan.error
        poor = self._scenario is not None and self._scenario.balance is not None and reply.error == "credits"
        if reply.error != wanted and not poor:
            self._problem("error", f'the create is answered with "{reply.error}", not with {_named(wanted)}')
            return False
        if ("content-type", "application/problem+json") in reply.headers:
            self._problem("error", f'no rule of the error "{reply.error}" is for the create')
        return True

    def _follow(self, job_id: str) -> None:
        play, status = self._provider.plays[job_id], self._contract.job_type.status
        read = None
        if status is not None:
            operation = self._contract.operations[status.operation]
            read = request_to(operation, naming(status.id, job_id))
        while not play.job.terminal:
            due = self._clock.next_due()
            if play.reads_left is not None and read is not None:
                self._clock.advance(max(play.visible_at - self._clock.now(), PACE_SECONDS))
                if not self._can_read(read):
                    return
            elif due is not None:
                self._clock.sleep(due - self._clock.now())
            else:
                break
        if "create" not in self._struck:
            self._ended(play.job)
        self._clock.advance(max(play.visible_at - self._clock.now(), PACE_SECONDS))
        if read is not None:
            self._can_read(read)

    def _can_read(self, read: Request) -> bool:
        answer = self._provider.handle(read)
        error = answer.error if isinstance(answer, Reply) and "status" not in self._struck else None
        if error is not None:
            self._problem("timeline", f'a read of the job is answered with "{error}"')
        return error is None

    def _ended(self, job: Job) -> None:
        """See that the job came to the end that the story names."""
        plan = None if self._scenario is None else self._scenario.plan
        last = ((plan.timeline if plan is not None else None) or self._behaviour.timeline)[-1].state
        if last in TERMINAL and not job.terminal:
            self._problem("timeline", f"the job stays {job.state} for ever")
        if plan is not None and plan.failure is not None and job.state is not State.FAILED:
            self._problem("failure", f'the job never fails with "{plan.failure}": it stays {job.state} for ever')


def _named(error: str | None) -> str:
    return "a job" if error is None else f'the error "{error}"'
