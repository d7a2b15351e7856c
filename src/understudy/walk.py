"""Walk through a contract as its reference client would: make a job at the fake, see it to its end, have its files."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from understudy.behaviour import Behaviour
from understudy.call import decoded, without_files
from understudy.clock import VirtualClock
from understudy.contract.creates import Create
from understudy.contract.expressions import Expression, first_value
from understudy.contract.model import Contract
from understudy.contract.validation import BARE, Outline
from understudy.errors import ClockExhausted, Problem, Refused, UnderstudyError
from understudy.exchange import Answer, Command, Send, Sleep
from understudy.fake import API_KEY
from understudy.files import address_of
from understudy.flows import Flows
from understudy.lifecycle import ACTIVE, TERMINAL, Job, Json, Output, State
from understudy.probes import operation_node, resolved, sample_bodies, sample_parameters
from understudy.provider import Provider
from understudy.reach import host_of
from understudy.store import Play
from understudy.wire import Reply, Request, RequestView, Wait

T = TypeVar("T")


def walk(contract: Contract, behaviour: Behaviour) -> list[Problem]:
    """Have a job made by each way of making one, and one in each state listed; problems are noted in the contract.

    Args:
        contract: What the provider promises.
        behaviour: How its fake acts.

    Returns:
        What a client has to be told beside the input.
    """
    kind, notes = contract.job_type, list[Problem]()  # which a client means
    for index, group in enumerate(kind.creates):
        at, way = ("x-jobs", kind.name, "create", index), _Walk(contract, behaviour, group)
        for text in way.take() or way.unmade():
            contract.document.problem(at, text)
        told = ", ".join(f'"{name}": …' for name in sorted(way.chosen()))
        if told:
            text = f"a client of {group.operations[0]} needs what is no input: Client(…, parameters={{{told}}})"
            notes.append(Problem(*contract.document.where(at), text))
    if kind.listing is not None:
        for text in _misread(contract, behaviour):
            contract.document.problem(("x-jobs", kind.name, "list", "reply"), text)
    return notes


def _misread(contract: Contract, behaviour: Behaviour) -> Iterator[str]:
    """Yield what is wrong with the states that a client reads in a list."""
    group = contract.job_type.creates[0]
    states = [state for state in contract.job_type.words.by_state if group.sync is None or state in TERMINAL]
    try:
        found = {state: _Walk(contract, behaviour, group).listed(state) for state in states}
    except (UnderstudyError, ClockExhausted) as error:
        yield f"a client cannot list jobs: {_told(error)}"
        return
    read = {state: job for state, job in found.items() if job is not None}
    if all(job.status is None for job in read.values()) and len({job.state for job in read.values()}) == 1:
        return  # it tells no state
    for state, job in read.items():
        if job.state is not state and not {job.state, state} <= ACTIVE:
            text = f"a client that lists jobs reads one that is {state} as {job.state}: conditions look at an item"
            yield f'{text} where "$each" has a "view" in place of "do"'


def _told(error: BaseException) -> str:
    return str(error).replace("\n", ";")


@dataclass
class _Walk:
    """One job, made and seen to its end."""

    contract: Contract
    behaviour: Behaviour
    group: Create

    def __post_init__(self) -> None:
        self._clock = VirtualClock()
        self._provider = Provider(self.contract, self.behaviour, clock=self._clock)
        self._operation = self.contract.operations[self.group.operations[0]]
        self._samples = tuple(sample_bodies(self.contract, self._operation))

    def chosen(self) -> set[str]:
        """Return the members that a body must have and that whoever makes a job has to choose, beside the input."""
        group, key = self.group, self.group.idempotency
        own = (group.model, group.input, group.number, group.callback_url, () if key is None else key.key)
        pointers = [
            item.pointer or ()
            for place in own
            for item in place
            if isinstance(item, Expression) and item.path == ("body",)
        ]
        if () in pointers:
            return set()  # the whole body is input
        outlines = [self._outline(body) for body in self._samples]
        needed = {name for outline in outlines for name in outline.required - outline.fixed.keys()}
        return needed - {pointer[0] for pointer in pointers}

    def _outline(self, body: Json) -> Outline:
        check = self._operation.body
        return BARE if check is None or not isinstance(body, dict) else check.outline(body)

    def unmade(self) -> list[str]:
        """Return why a client cannot make a create that its schema takes, for each model that has a sample."""
        found, check = [], self._operation.body
        for body in self._samples:
            assert check is not None  # or there were no sample
            sent = self._written(body)
            wrong = next(iter(check.violations(sent)), None) if check.required or sent is not None else None
            if wrong is not None:
                found.append(
                    f"no client can make a create of {self._operation.id} that {self._schema(body)} takes:"
                    f" {wrong.message}, at {wrong.pointer or 'its root'}; what is no input needs a `const` there, or a"
                    " place among the members of the body that the schema names"
                )
        return found

    def _written(self, body: Json) -> Json:
        """Return the body that a client writes for what a sample asks for."""
        flow, _ = self._submit(body)
        send = next(flow)
        assert isinstance(send, Send)
        return without_files(decoded(_request(send), self._operation), lambda file: "")

    def _schema(self, body: Json) -> str:
        """Return the name of the schema that a body is held to."""
        data = self.contract.document.data
        content = resolved(data, operation_node(self.contract, self._operation.id)["requestBody"])["content"]
        schema = next(media["schema"] for media in content.values() if "schema" in media)
        target, told_apart = schema.get("$ref", "its body's schema"), resolved(data, schema).get("discriminator", {})
        if "mapping" in told_apart:
            target = told_apart["mapping"][body[told_apart["propertyName"]]]
        return str(target.rpartition("/")[2])

    def _submit(self, body: Json) -> tuple[Generator[Command, Any, list[Job]], Flows]:
        """Begin to make the job that a sample asks for; the client was told all that it needs beside the input."""
        operation, group = self._operation, self.group
        given = sample_parameters(self.contract, operation)
        scope = {"request": RequestView(body, given["query"], given["headers"], given["path"])}
        known: dict[str, Json] = {name: str(value) for part in given.values() for name, value in part.items()}
        known |= {name: body[name] for name in self._outline(body).required if name in body}
        flows = Flows(self.contract, api_key=API_KEY, parameters=known)
        is_asked = all(isinstance(item, Expression) for item in group.model)  # or the operation is of one model
        model, input = first_value(group.model, scope) if is_asked else None, first_value(group.input, scope)
        flow = flows.submit(
            input if isinstance(input, dict) else {},
            model=model if isinstance(model, str) else None,
            callback_url=None,
            operation=operation.id,
            count=None,
            timeout_seconds=60,
            now=self._clock.now,
        )
        return flow, flows

    def take(self) -> list[str]:
        """Return what a client meets that it should not."""
        try:
            flow, flows = self._submit(next(iter(self._samples), None))
            job = self._carried(flow)[0]
            if self.contract.job_type.status is not None:
                waiting = flows.waiting(job, timeout_seconds=None, now=self._clock.now)
                job = self._carried(flows.wait(waiting, self._clock.now))
        except (UnderstudyError, ClockExhausted) as error:
            if isinstance(error, Refused) and error.name == "invalid":
                return []  # `unmade` says why, or what was made up for it is nothing that it takes
            return [f"a client cannot have a job of {self._operation.id}: {_told(error)}"]
        return self._lacking(job, flows)

    def listed(self, state: State) -> Job | None:
        """Return what a list tells a client of a job in a state; None where it has none, or none could be made."""
        self._provider.next_job(state=state)
        flow, flows = self._submit(next(iter(self._samples), None))
        try:
            self._carried(flow)
        except (UnderstudyError, ClockExhausted):
            return None  # which has been told before
        return next(iter(self._carried(flows.page(flows.walk()))), None)

    def _lacking(self, job: Job, flows: Flows) -> list[str]:
        made = list(self._provider.plays.values())
        files = made[0].job.outputs if made and self.contract.job_type.outputs is not None else ()
        found = [output for output in job.outputs if output.url or output.content]
        if job.terminal and len(found) < len(files):
            return [
                f"a client gets {len(found)} of the {len(files)} files that were made: the rest has no link, nor bytes"
            ]
        return [*self._unfetched(found, flows), *self._shared(made[0])] if found and made else []

    def _unfetched(self, found: Sequence[Output], flows: Flows) -> Iterator[str]:
        try:
            self._carried(flows.download(found[0]))
        except UnderstudyError as error:
            yield f"a client cannot have the file of a result: {_told(error)}"

    def _shared(self, play: Play) -> Iterator[str]:
        """Yield what is wrong where the link of one file is that of another, too."""
        assets = self.contract.job_type.assets
        if len(set(play.addresses)) < len(play.addresses):
            yield "two files of a job have the same link: $output.index has to be in the url of the assets"
        if assets is not None and play.addresses:
            scope = {"job": replace(play.job, id=f"{play.job.id}0"), "output": play.job.outputs[0]}
            if address_of(assets.url.render(scope), assets) in play.addresses:
                yield "the files of two jobs have the same link: $job.id has to be in the url of the assets"

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
                outcome = self._provider.handle(_request(command))
                while isinstance(outcome, Wait):
                    self._clock.sleep(outcome.until - self._clock.now())
                    outcome = outcome.resume()
                assert isinstance(outcome, Reply)  # nothing goes wrong in the usual story
                answered = {name.lower(): value for name, value in outcome.headers}
                result = Answer(outcome.status, answered, outcome.body, self._clock.now())
        except StopIteration as end:
            value: T = end.value
            return value


def _request(send: Send) -> Request:
    address, headers = urlsplit(send.url), [(name.lower(), value) for name, value in send.headers]
    return Request(send.method, address.path, address.query, headers, send.body, host=host_of(send.url))
