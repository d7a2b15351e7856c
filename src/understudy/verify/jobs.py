"""What is looked at in a job that was paid for: its way to the end, its files, its callbacks.

Each request is one of the reference client's own flows; each answer is held against the twin's, then read by the flow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode

from understudy.behaviour import Behaviour
from understudy.clock import Clock
from understudy.contract.model import Contract, Result, Status
from understudy.errors import ClientError, SignatureInvalid
from understudy.exchange import Answer, Command, Draft, NoAnswer, Send, decoded
from understudy.fake import API_KEY
from understudy.flows import Flows
from understudy.lifecycle import TERMINAL, Job, State
from understudy.probes import request_to, sample_parameters
from understudy.reach import host_of
from understudy.receiver import Received
from understudy.talk import is_whole
from understudy.verify.findings import Found
from understudy.verify.line import Line
from understudy.verify.offers import Order
from understudy.verify.questions import put, shows_more
from understudy.verify.scenes import Scene
from understudy.verify.twin import Twin
from understudy.waits import USUAL_PAUSE_SECONDS
from understudy.wire import Request

T = TypeVar("T")

#: How long after the end of its job a callback is waited for, and how often is looked whether it is there, in seconds.
CALLBACK_SECONDS, CALLBACK_PACE_SECONDS = 60.0, 0.1

#: A job whose reads failed so often in a row is given up.
MOST_FAILED_READS = 3

#: A time that is further from now than a day, or a duration that is so many times off, is in another unit.
DAY_SECONDS, TIMES_OFF = 86400.0, 100.0


class Callbacks(NamedTuple):
    """Where callbacks come in: the address that the provider is told, and what came."""

    url: str
    received: list[Received]


class Reading(Flows):
    """The flows of the reference client, by which answers are read."""

    def accepted(self, order: Order, answer: Answer) -> Job:
        """Return the job that the answer to a create tells of."""
        create, operation = self._create(order.operation), self.contract.operations[order.operation]
        draft = Draft()
        draft.body, draft.query = order.view.body, dict(order.view.query)
        draft.headers, draft.path = list(order.view.header.items()), dict(order.view.path)
        given = order.view.body if isinstance(order.view.body, dict) else {}
        return replace(self._accepted(create, operation, given, draft, answer)[0], operation=operation.id)


class Jobs:
    """Asks about jobs, and notes what is different; see `Suite`."""

    def __init__(
        self,
        contract: Contract,
        behaviour: Behaviour,
        line: Line,
        *,
        clock: Clock,
        callbacks: Callbacks | None,
        secret: str | None,
    ) -> None:
        self._contract, self._kind = contract, contract.job_type
        self._line, self._clock, self._callbacks, self._secret = line, clock, callbacks, secret
        self._twin = Twin(contract, behaviour, line.host)
        self._flows = Reading(contract, api_key=API_KEY)
        self._found: list[Found] = []
        self._asked = 0

    def _note(self, rule: str, text: str, operation: str = "", *, breaking: bool = True) -> None:
        self._found.append(Found(rule, "breaking" if breaking else "drift", text, operation))

    def _hold(self, request: Request) -> Answer:
        self._asked += 1
        answer = self._line.ask(request)
        self._found += self._twin.hold(request, answer)
        return answer

    def _follow(self, name: str, job: Job, made: float) -> None:
        if name == "cancel":
            job = self._go(self._flows.cancel(job))
        states = self._watch(job, made) if name != "blocking" else [job]
        job = states[-1]
        expected = {"cancel": State.CANCELLED, "failure": State.FAILED}.get(name, State.SUCCEEDED)
        if job.state in TERMINAL and job.state is not expected:
            self._note("other-end", f"the job is {job.state} ({job.status!r}), and not {expected}")
        elif job.state in TERMINAL and not is_whole(job):
            self._note("no-result", f"the job is {job.state}, and nothing tells what came of it")
        if job.state is State.SUCCEEDED:
            self._fetch(job)
        if name == "callback":
            self._called_back((State.QUEUED, State.RUNNING, job.state))
        if name == "lifecycle":
            self._seen(states, made)
            self._afterwards(job)

    def _see(self, scene: Scene, order: Order, answer: Answer) -> None:
        """Look at the job of a scene in each state, in each way that it is told of."""
        flows, result, status = Reading(self._contract, api_key=scene.account), self._kind.result, self._kind.status
        try:
            job = flows.accepted(order, answer)
        except ClientError:  # a create that blocks has told how it has failed
            return
        reads = []
        if result is not None and result.minted is None and self._asks(result):
            reads.append((flows.result, result.reply))
        if status is not None and self._asks(status):
            reads.append((flows.status, status.reply))
        for read, view in reads * len(scene.states) if job.id else ():
            command = next(read(job))
            assert isinstance(command, Send)
            request = self._line.request(command)
            self._hold(request)
            for more in shows_more({}, view):
                query = urlencode([*parse_qsl(request.query), *more["query"].items()])
                self._hold(replace(request, query=query, headers=[*request.headers, *more["headers"].items()]))
        if order.calls_back:
            self._called_back(scene.states)

    def _asks(self, part: Result | Status) -> bool:
        return self._line.asks(self._contract.operations[part.operation])

    def _go(self, flow: Generator[Command, Any, T]) -> T:
        """Carry a flow of the client out, and hold each answer against the twin's."""
        try:
            command = next(flow)
            while True:
                assert isinstance(command, Send)  # what is asked here is asked once
                request = self._line.request(command)
                try:
                    answer = self._line.ask(request)
                except NoAnswer as error:
                    command = flow.throw(error)
                else:
                    self._asked += 1
                    if not self._passes(answer):
                        self._found += self._twin.hold(request, answer)
                    command = flow.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _passes(self, answer: Answer) -> bool:
        """Say whether an answer is an error that passes, such as too many requests, or a job not visible yet."""
        status = self._kind.status
        read = self._kind.errors.recognise("" if status is None else status.operation, answer.status, decoded(answer))
        if read.rule is None:
            return answer.status in (429, 502, 503, 504)
        return read.rule.retry == "later" or (status is not None and read.rule.name == status.invisible_error)

    def _watch(self, job: Job, made: float) -> list[Job]:
        """Ask how a job is until it has ended, ever more slowly; return it as it was each time."""
        status, seen, failed = self._kind.status, [job], 0
        limit = made + self._flows.default_timeout_seconds
        while status is not None and not (job.terminal and is_whole(job)):
            try:
                job = self._go(self._flows.status(job))
                if job.terminal and not is_whole(job) and self._kind.result is not None:
                    job = self._go(self._flows.result(job))
                seen.append(job)
                failed = 0
                if job.terminal:
                    break
            except ClientError as error:
                elapsed = self._clock.now() - made
                hidden = error.name is not None and error.name == status.invisible_error
                failed += not (hidden and elapsed <= status.invisible_seconds)
                if failed >= MOST_FAILED_READS:
                    raise
            elapsed = self._clock.now() - made
            if self._clock.now() >= limit:
                self._note("not-ended", f"the job is {job.state} ({job.status!r}) after {elapsed:.0f} seconds")
                break
            pace = status.every_seconds(elapsed) or USUAL_PAUSE_SECONDS
            self._clock.sleep(max(pace, elapsed / 8))
        return seen

    def _seen(self, jobs: list[Job], made: float) -> None:
        """Look at what was told of a job on its way: its states and times."""
        last, now = jobs[-1], self._clock.now()
        unseen = {State.QUEUED, State.RUNNING} & self._kind.words.by_state.keys() - {job.state for job in jobs}
        if last.terminal and self._kind.status is not None:
            for state in sorted(unseen):
                self._found.append(
                    Found("state-not-seen", "variable", f"the job was never {state} when it was asked for")
                )
        for name in ("created_at", "started_at", "updated_at", "ended_at"):
            moment = getattr(last, name)
            if moment is not None and not made - DAY_SECONDS < moment < now + DAY_SECONDS:
                self._note("time-differs", f"{name} is {moment:.0f} in unix seconds, and it is {now:.0f}")
        took, told = now - made, last.duration_seconds
        if told is not None and took and not took / TIMES_OFF <= told <= took * TIMES_OFF:
            self._note("duration-differs", f"the job says that it took {told:g} seconds, and {took:g} went by")

    def _fetch(self, job: Job) -> None:
        """Fetch the result files of a job."""
        for output in job.outputs:
            flow = self._flows.download(output)
            types: list[str] = []
            try:
                command = next(flow)
                while True:
                    answer = self._line.fetch(command)  # type: ignore[arg-type]
                    types.append(answer.headers.get("content-type", "").partition(";")[0])
                    command = flow.send(answer)
            except StopIteration as stop:
                content: bytes = stop.value
            if not content:
                self._note("file-empty", f"the result file {output.index} is empty")
            kind = types[-1] if types else ""
            if output.media_type is not None and kind and kind != output.media_type:
                text = f"the result file {output.index} is {kind}, and was told to be {output.media_type}"
                self._note("file-type", text, breaking=False)
            if kind.startswith("text/") or kind == "application/json":
                self._note("file-type", f"the result file {output.index} is {kind}", breaking=False)

    def _afterwards(self, job: Job) -> None:
        """Ask what costs nothing once there is a job: to cancel it, for the list, for a fresh link."""
        if self._kind.cancel is not None and job.terminal:
            self._go(self._flows.cancel(job))
        listing, assets = self._kind.listing, self._kind.assets
        if listing is not None and self._line.asks(self._contract.operations[listing.operation]):
            operation = self._contract.operations[listing.operation]
            self._hold(request_to(operation, sample_parameters(self._contract, operation)))
        renew = assets.renew if assets is not None else None
        links = [output.url for output in job.outputs if host_of(str(output.url)) in self._contract.hosts]
        if renew is not None and links and self._line.asks(self._contract.operations[renew.operation]):
            operation = self._contract.operations[renew.operation]
            given = put(sample_parameters(self._contract, operation), renew.url, links[0])
            self._hold(request_to(operation, given))

    def _called_back(self, states: Iterable[State]) -> None:
        """Wait for the callbacks of a job that goes through some states, and hold each against the twin's."""
        assert self._callbacks is not None  # or there were no address
        assert self._kind.callback is not None
        until = self._clock.now() + CALLBACK_SECONDS
        expected = sum(state in self._kind.callback.trigger for state in states)
        while len(self._callbacks.received) < expected and self._clock.now() < until:
            self._clock.sleep(CALLBACK_PACE_SECONDS)
        if len(self._callbacks.received) < expected:
            came = len(self._callbacks.received)
            self._note("callback-missing", f"{came} of {expected} callbacks came within {CALLBACK_SECONDS:g} seconds")
        for received in self._callbacks.received:
            self._found += self._twin.hold_callback(received.headers, received.body)
            sign = self._kind.callback.sign
            keys = sign is not None and sign.jwks is not None and self._line.asks(self._contract.operations[sign.jwks])
            if sign is not None and (keys or self._secret is not None):
                now = self._clock.now()
                read = self._flows.callback(received.headers, received.body, secret=self._secret, jwks=None, now=now)
                try:
                    self._go(read)
                except SignatureInvalid as error:
                    self._note("signature", f"the callback is not signed as the contract says: {error}")
