"""Play a recording against the fake, in process and on a virtual clock, and hold what comes back against it.

Each recorded request is sent, with the ids of the fake's own jobs in place of the recorded ones. Before a status read
time moves on until the job is where the recording has it; for a callback or an event, until one comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from understudy.behaviour import Behaviour
from understudy.callback import Delivery
from understudy.clock import VirtualClock
from understudy.comparison import At, Comparison, Ids, shown
from understudy.contract.codecs import CodecError, dump_json
from understudy.contract.conditions import same
from understudy.contract.expressions import first_value
from understudy.contract.frames import recognise
from understudy.contract.loader import Document
from understudy.contract.model import Contract, JobType, Status
from understudy.contract.operations import Operation
from understudy.contract.reading import ReadError
from understudy.contract.validation import SchemaCheck, Violation
from understudy.errors import ClockExhausted
from understudy.lifecycle import Job, Json, State
from understudy.origin import Source, source_of, states_told
from understudy.plan import Plan
from understudy.probes import (
    PACE_SECONDS,
    as_at,
    callback_schema,
    chosen,
    decoded,
    naming,
    parse_frame,
    request_to,
    results_of,
    schema_of,
)
from understudy.provider import Provider
from understudy.wire import Reply, Request, RequestView, Stream, Wait


@dataclass(frozen=True, slots=True)
class Playback:
    """What came of a recording.

    Attributes:
        reproduced: Whether every recorded member came back.
        added: What the fake says beyond the recording, as JSON pointers into it.
    """

    reproduced: bool
    added: tuple[str, ...]


def play(contract: Contract, behaviour: Behaviour, document: Document) -> Playback:
    """Play a recording whose schema and names are right; where the fake does something else is noted as a problem.

    Args:
        contract: What the provider promises.
        behaviour: How its fake acts.
        document: The recording.
    """
    before = len(document.problems)
    added = Player(contract, behaviour, document).play()
    return Playback(len(document.problems) == before, tuple("".join(f"/{part}" for part in at) for at in added))


class Player:
    """One recording, being played.

    Args:
        contract: What the provider promises.
        behaviour: How its fake acts.
        document: The recording; one without exchanges, where they are held against the fake as they come.

    Attributes:
        provider: The fake, on a virtual clock of its own.
        comparison: What was found to be different.
        ids: Which job of the fake stands for which recorded id.
    """

    def __init__(self, contract: Contract, behaviour: Behaviour, document: Document) -> None:
        self._contract = contract
        self._document = document
        self._data = document.data
        self._clock = VirtualClock()
        self.provider = Provider(
            contract, behaviour, clock=self._clock, scenario=self._data.get("scenario"), send=self._collect
        )
        if "next" in self._data:
            self.provider.plan_next(Plan(failure=self._data["next"]["failure"]))
        self.ids = Ids()
        self.comparison = Comparison((entry["at"] for entry in self._data.get("elided", ())), self.ids)
        kinds = contract.job_types.values()
        self._streaming = next((job_type for job_type in kinds if job_type.events is not None), contract.job_type)
        self._deliveries: deque[tuple[Delivery, Job, JobType]] = deque()
        self._stream: Stream | None = None

    def _collect(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        play = self.provider.plays[delivery.job_id]
        self._deliveries.append((delivery, replace(play.job), play.job_type))
        done(200, "")

    def play(self) -> list[At]:
        """Play all exchanges; return where the fake says more than was recorded."""
        self._listen(None)
        for index, exchange in enumerate(self._data["exchanges"]):
            at: At = ("exchanges", index)
            try:
                if "request" in exchange:
                    self._exchange(exchange, at)
                elif "callback" in exchange:
                    self.callback(exchange["callback"], (*at, "callback"))
                else:
                    self._event(exchange["event"], (*at, "event"))
            except ClockExhausted as error:
                self.comparison.differ(at, str(error).splitlines()[0])
            except CodecError as error:
                self.comparison.differ(at, f"the fake cannot make what it says here: {error} is expected")
        for place, text, *_ in self.comparison.differences:
            self._document.problem(place, f"{text} (/{'/'.join(map(str, place))})")
        return self.comparison.added

    # --- a request and its reply ---

    def _exchange(self, exchange: Mapping[str, Any], at: At) -> None:
        recorded, expected = exchange["request"], exchange["response"]
        operation = self._contract.operations[recorded["operation"]]
        given = {
            **recorded,
            "path": {name: self.ids.exact(value) for name, value in recorded.get("path", {}).items()},
            "query": {name: self.ids.exact(value) for name, value in recorded.get("query", {}).items()},
        }
        if "body" in recorded:
            given["body"] = self.ids.in_place(recorded["body"])
        request = request_to(operation, given)
        view = RequestView(given.get("body"), request.parameters, request.header, given["path"])
        reply = self.hold(operation, request, view, expected, at)
        if reply is not None and reply.error is None and "body" in expected:
            self._request_fits(operation, view, (*at, "request"))

    def hold(self, operation: Operation, request: Request, view: RequestView, expected: Json, at: At) -> Reply | None:
        """Ask the fake, once the job is where an answer has it, and compare what it says with that answer.

        Args:
            operation: What is asked.
            request: The request, with the fake's own ids.
            view: The same, as expressions see it.
            expected: The answer: `status`, `headers` and `body`.
            at: Where the exchange stands in the recording.

        Returns:
            What the fake says; None where its job is never where the answer has it.
        """
        job_type, status = self._contract.job_type_of(operation.id), self._contract.job_type_of(operation.id).status
        if (
            status is not None
            and operation.id == status.operation
            and not self._reach(status, request, view, expected, (*at, "response"))
        ):
            return None
        before = {job_id: replace(play.job) for job_id, play in self.provider.plays.items()}
        outcome = self.provider.handle(request)
        while isinstance(outcome, Wait):
            self._clock.sleep(outcome.until - self._clock.now())
            outcome = outcome.resume()
        if isinstance(outcome, Stream):
            self._stream, outcome = outcome, Reply(200, outcome.headers, b"")
        assert isinstance(outcome, Reply)  # nothing goes wrong here that no story has asked for
        if outcome.jobs:
            self._listen(outcome.jobs[0])
        self._reply(operation, job_type, outcome, expected, (*at, "response"), view, before)
        return outcome

    def lost(self, request: Request, expected: Json, at: At) -> Reply:
        """Compare the answer to a request that leads to no operation; see `hold`."""
        reply = self.provider.handle(request)
        assert isinstance(reply, Reply)  # nothing goes wrong here that no story has asked for
        view = RequestView(None, {}, {}, {})
        source = source_of(self.provider, "", reply, view, {})
        self._compare(source, reply, expected, (*at, "response"))
        return reply

    def _reach(self, status: Status, request: Request, view: RequestView, expected: Json, at: At) -> bool:
        """Let time pass until a job is where the recorded reply has it; say whether it ever is."""
        play = self.provider.plays.get(str(first_value(status.id, {"request": view})))
        body = self.comparison.known(expected.get("body"), (*at, "body"))
        scope = {"statusCode": expected["status"], "response": {"body": body, "header": {}}, "request": view}
        success = status.reply.success
        if play is None or not 200 <= expected["status"] < 300 or (success is not None and not success.holds(scope)):
            return True
        try:
            read = status.reply.read(body, scope)
        except ReadError as error:
            place = (*at, "body", *error.pointer)
            self.comparison.differ(place, f"a client could not read what is recorded: {error}", "unreadable")
            return False
        word = read.reading.get(("job", "status"))
        if word is None and not status.reply.words.told_without_word:
            return True
        self._clock.advance(play.visible_at - self._clock.now())
        seen = [play.job.status]
        told = word is not None and read.state is State.QUEUED  # which may share its word with the next
        fitting = states_told(status.reply, body, {**scope, "job": play.job}) if told else {read.state}
        while not (play.job.state in fitting and (word is None or same(word, play.job.status))):
            if play.reads_left is not None:
                answer = self.provider.handle(request)
                if isinstance(answer, Reply) and answer.error is not None:
                    self.comparison.differ(at, f'a read of the job is answered with "{answer.error}"')
                    return False
                due = self._clock.next_due()  # which must not come meanwhile
                self._clock.advance(PACE_SECONDS if due is None else min(PACE_SECONDS, (due - self._clock.now()) / 2))
            elif not self._clock.step():
                words, wanted = ", ".join(map(shown, dict.fromkeys(seen))), read.state if word is None else shown(word)
                self.comparison.differ(at, f"the job is never {wanted}; it is {words}", "state")
                return False
            seen.append(play.job.status)
        return True

    def _reply(
        self,
        operation: Operation,
        job_type: JobType,
        reply: Reply,
        expected: Json,
        at: At,
        view: RequestView,
        before: Mapping[str, Job],
    ) -> None:
        source = source_of(self.provider, operation.id, reply, view, before)
        self._compare(source, reply, expected, at, new=job_type.operation_ids().get(operation.id) == "create")
        if "body" not in expected:
            return
        schema = schema_of(self._contract, operation.id, reply.status)
        self._schema_takes(schema, expected["body"], decoded(reply.body), (*at, "body"))

    def _compare(self, source: Source, reply: Reply, expected: Json, at: At, *, new: bool = False) -> None:
        """Compare status, headers and body of what the fake says with what was recorded."""
        error = "" if reply.error is None else f' (the error "{reply.error}")'
        if reply.status != expected["status"]:
            text = f"recorded is {expected['status']}, the fake has {reply.status}{error}"
            self.comparison.differ((*at, "status"), text, "status")
        self._headers(source, expected, reply.headers, at)
        if "body" in expected:
            actual, place = decoded(reply.body), (*at, "body")
            self.comparison.compare(source.body, expected["body"], actual, place, parts=source.parts, new=new)

    def _headers(self, source: Source, recorded: Mapping[str, Any], headers: Iterable[tuple[str, str]], at: At) -> None:
        templates = {name.lower(): template for name, template in source.headers}
        sent = {name.lower(): value for name, value in headers}
        for name, value in recorded.get("headers", {}).items():
            template, actual = templates.get(name.lower()), sent.get(name.lower())
            text = value if isinstance(value, str) else dump_json(value)
            self.comparison.compare(template, text, actual, (*at, "headers", name), parts=source.parts)

    def _schema_takes(self, schema: SchemaCheck | None, recorded: Json, actual: Json, at: At) -> None:
        """Hold what was recorded, with what the fake has in elided places, to the schema of the document."""
        filled = self.comparison.filled(recorded, actual, at)
        self._taken(schema.violations(filled) if schema is not None else (), filled, at)

    def _taken(self, violations: Iterable[Violation], value: Json, at: At) -> None:
        """Note what the document does not take, and in one line what it requires beside that."""
        document, missing = self._contract.document.path.name, []
        for violation in violations:
            place = (*at, *as_at(value, violation.pointer))
            if violation.keyword == "required":
                missing.append(violation.pointer)
            else:
                self.comparison.differ(place, f"{document} does not take this: {violation.message}", "schema")
        if missing:
            text = f"{document} requires members that are missing here: {', '.join(missing)}"
            self.comparison.differ(at, text, "schema")

    def _request_fits(self, operation: Operation, view: RequestView, at: At) -> None:
        """Hold a request that was accepted to its schemas, which a late check of the input may not have done."""
        places = {"path": view.path, "query": view.query, "header": view.header}
        for parameter in operation.parameters:
            self._taken(parameter.violations(places[parameter.place]), None, (*at, parameter.place))
        if operation.body is not None and (operation.body.required or view.body is not None):
            self._taken(operation.body.violations(view.body), view.body, (*at, "body"))

    # --- what the provider sends by itself ---

    def callback(self, recorded: Mapping[str, Any], at: At) -> Delivery | None:
        """Compare a callback with the next one of the fake, and return that; None where it sends none."""
        while not self._deliveries:
            if not self._clock.step():
                self.comparison.differ(at, "the fake sends no callback here", "member")
                return None
        delivery, job, job_type = self._deliveries.popleft()
        callback = job_type.callback
        assert callback is not None  # or nothing were delivered
        template = chosen(callback.view.variants[job.state], {"job": job})
        headers = (*callback.headers, *(callback.sign.headers if callback.sign is not None else ()))
        source = Source(template, headers, results_of(job_type))
        self._headers(source, recorded, delivery.headers, at)
        actual, place = decoded(delivery.body), (*at, "body")
        self.comparison.compare(template, recorded["body"], actual, place, parts=source.parts)
        self._schema_takes(callback_schema(self._contract, str(job.operation)), recorded["body"], actual, place)
        return delivery

    def _listen(self, job_id: str | None) -> None:
        """Subscribe to the events, where the recording has some and does not say when to."""
        events = self._streaming.events
        exchanges = self._data["exchanges"]
        asked = {exchange["request"]["operation"] for exchange in exchanges if "request" in exchange}
        if events is None or events.operation in asked or not any("event" in exchange for exchange in exchanges):
            return
        if self._stream is not None or (events.scope == "job") != (job_id is not None):
            return
        operation = self._contract.operations[events.operation]
        outcome = self.provider.handle(request_to(operation, naming(events.id, job_id)))
        self._stream = outcome if isinstance(outcome, Stream) else None

    def _event(self, recorded: Mapping[str, Any], at: At) -> None:
        stream, name = self._stream, recorded.get("event")
        while stream is not None and (stream.frames or self._clock.step()):
            if not stream.frames:
                continue
            event, data = parse_frame(stream.frames.popleft())
            if name is not None and event != name:
                self.comparison.added.append((*at, event))
                continue
            told = None if self._streaming.events is None else recognise(self._streaming.events, event, data)
            template, parts = None if told is None else told.frame.data, results_of(self._streaming)
            self.comparison.compare(template, recorded["data"], data, (*at, "data"), parts=parts)
            return
        self.comparison.differ(at, "the fake sends no such event here")
