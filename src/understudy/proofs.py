"""Prove the views of a contract: a client gets back what the fake puts in, and the document's schemas take it.

Each view is rendered for a sample job in each of its states, read backwards, and held to the response schema.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from understudy.contract.catalogue import ENGINE_ERRORS, ErrorRule
from understudy.contract.codecs import CodecError, dump_json, parse_json
from understudy.contract.expressions import first_value
from understudy.contract.frames import recognise
from understudy.contract.model import Contract, Failure, JobType
from understudy.contract.reading import ReadError, Reading
from understudy.contract.templates import Literal, leaves, literals
from understudy.contract.validation import SchemaCheck
from understudy.contract.views import Read, View, rendered_headers
from understudy.errors import Problem
from understudy.lifecycle import ACTIVE, TERMINAL, Job, JobError, Json, Output, State
from understudy.mint import mint, new_id
from understudy.probes import (
    MADE,
    TOLD,
    callback_schema,
    can_have,
    rules_of,
    sample_body,
    sample_parameters,
    sample_scope,
    schema_of,
    told_by,
    views_of,
)
from understudy.readback import lacking, mistaken
from understudy.wire import RequestView

_NO_VALUE = "; what may have none, as `$job.progress` where no step has `progress`, takes `|omit` or `|default(…)`"


class Proof:
    """Proves one kind of job of a contract.

    Args:
        contract: The contract; problems are noted in its document.
        job_type: The kind of job.

    Attributes:
        notes: What is worth knowing and not wrong.
    """

    def __init__(self, contract: Contract, job_type: JobType) -> None:
        self.notes: list[Problem] = []
        self._contract = contract
        self._job_type = job_type
        self._document = contract.document
        self._invisible = None if job_type.status is None else job_type.status.invisible_error
        operation = contract.operations[job_type.creates[0].operations[0]]
        path = sample_parameters(contract, operation)["path"]
        self._request = RequestView(sample_body(contract, operation), {}, {}, path)

    def run(self) -> None:
        """Prove everything."""
        job_type, told = self._job_type, False
        for group in job_type.creates:
            words = group.reply.words.by_state
            states = [state for state in words if group.sync is None or state in TERMINAL]
            blocks = group.sync is not None and group.sync.when is None
            told = told or blocks
            self._prove(group.reply, group.operations, states, id=not blocks, state=blocks, result=blocks)
        if job_type.status is not None:
            reply = job_type.status.reply
            whole = job_type.result is None
            self._prove(reply, (job_type.status.operation,), list(reply.words.by_state), state=True, result=whole)
            removes = job_type.retention.data_seconds is not None
            for state in (state for state in reply.words.by_state if removes and state in TERMINAL):
                with self._rendering(_at(reply), state):
                    old = self.job(state, reply).without_data()
                    self._held_to_schemas(reply, (job_type.status.operation,), state, old)
        if job_type.result is not None:
            ends = [state for state in job_type.words.by_state if state in TERMINAL and not self._told_by_status(state)]
            self._prove(job_type.result.reply, (job_type.result.operation,), ends, state=True, result=True)
        if job_type.callback is not None:
            callback, alone = job_type.callback, job_type.status is None
            self._prove(callback.view, (), list(callback.trigger), id=True, state=True, result=alone)
        if not told and job_type.status is None and job_type.callback is None and job_type.events is None:
            self._problem((), "nothing tells a client how a job goes: there is no status, callback, events or sync")
        self._frames()
        self._other_views()
        self._errors()

    def _problem(self, at: tuple[str | int, ...], text: str) -> None:
        self._document.problem(("x-jobs", self._job_type.name, *at), text)

    def _note(self, at: tuple[str | int, ...], text: str) -> None:
        self.notes.append(Problem(*self._document.where(("x-jobs", self._job_type.name, *at)), text))

    # --- a sample -------------------------------------------------------------------------------------------------

    def job(self, state: State, view: View | None = None) -> Job:
        """Return a job in a state, as the fake would have it."""
        job_type, group = self._job_type, self._job_type.creates[0]
        words = view.words if view is not None else job_type.words
        scope = {"request": self._request}
        model, given = first_value(group.model, scope), first_value(group.input, scope)
        job = Job(
            id=new_id(job_type, random.Random(0), self._request),
            state=state,
            status=words.shown(state) if words.by_state.get(state) else job_type.words.shown(state),
            model=model if isinstance(model, str) else None,
            input=given if isinstance(given, dict) else {},
            request=self._request.body,
            cost=1,
            spent=1,
            refunded=False,
            data_removed=False,
            created_at=MADE,
            updated_at=MADE,
            operation=group.operations[0],
        )
        if state is not State.QUEUED:
            job.started_at = job.updated_at = MADE + 1
        if state in TERMINAL:
            job.ended_at = job.updated_at = MADE + 13
            job.duration_seconds = 13
        if state is State.SUCCEEDED:
            if job_type.result is not None and job_type.result.minted is not None:
                job.result_id = mint(job_type.result.minted, random.Random(0))
            url = "https://example.com/0.png"
            job.outputs = (Output(url, b"picture", 0, "image/png", "png", 1024, 1024),)
            job.result = job_type.outputs.render({"job": job}) if job_type.outputs is not None else None
        if state is State.FAILED:
            unnamed = Failure("", None, Literal("the job failed"), 0)
            failure = next(iter(job_type.failures.values()), unnamed)
            message = failure.message.render({"job": job})
            job.error = JobError(failure.name or None, failure.code, message, failure.http, failure.headers)
        return job

    def _scope(self, job: Job | None) -> dict[str, Any]:
        return sample_scope(self._contract, self._job_type, self._request, job)

    # --- reading backwards ----------------------------------------------------------------------------------------

    def _prove(
        self,
        view: View,
        operations: tuple[str, ...],
        states: list[State],
        *,
        id: bool = False,  # as the format calls it
        state: bool = False,
        result: bool = False,
    ) -> None:
        """Render a view in each state, hold it to the schemas, and read it backwards.

        Args:
            view: The view.
            operations: Which answer it; none for a callback.
            states: In which a client meets it.
            id: Whether a client needs the id from it.
            state: Whether a client needs the state from it.
            result: Whether a client needs the result from it, or why there is none.
        """
        at, carried = _at(view), set[str]()
        for one in states:
            with self._rendering(at, one):
                job = self.job(one, view)
                body = self._held_to_schemas(view, operations, one, job)
                read = self._read(view, operations, body, job)
                lacks = lacking(read, self._job_type.outputs, job)
                told = self._job_type.status is not None and view is self._job_type.status.reply
                wanted = {"id": id, "state": state, "result": result, "error message": result, "id of the result": told}
                for what in (what for what, wants in wanted.items() if wants and what in lacks):
                    if what == "state" and {one, read.state} <= ACTIVE:
                        self._note(
                            at, f"a client takes a job that is {one} for {read.state} by this, and waits for either"
                        )
                        continue
                    why = f": {mistaken(read, view.words)}" if what == "state" else ""
                    self._problem(at, f"a client cannot get the {what} of a job that is {one} from this{why}")
            carried |= {told_by(name) for name in view.fields(one)}
        self._untold(view, carried)

    def _told_by_status(self, state: State) -> bool:
        """Say whether the status of a job in a state has its result, or why there is none."""
        status = self._job_type.status
        if status is None or state is State.SUCCEEDED:
            return False
        job = self.job(state, status.reply)
        body = _json(status.reply.render(self._scope(job), state).body)
        return "error message" not in self._lacks(status.reply, (status.operation,), body, job)

    def _untold(self, view: View, carried: set[str]) -> None:
        """Note what a view does not tell, unless whoever has its id learns the rest from the status or the callback."""
        status, callback = self._job_type.status, self._job_type.callback
        fullest = status.reply if status is not None else callback.view if callback is not None else view
        if view is not fullest and "id" in carried:
            return
        known = carried | ({"id"} if status is not None and view is status.reply else set())  # it was asked for by that
        missing = [name for name in TOLD if name not in known and can_have(self._job_type, name)]
        if missing:
            self._note(_at(view), f"{view.name} does not tell a client {', '.join(missing)}")

    @contextmanager
    def _rendering(self, at: tuple[str | int, ...], state: State) -> Iterator[None]:
        """Note what a view cannot render, or a client cannot read, as a problem."""
        try:
            yield
        except CodecError as error:
            self._problem(at, f"this cannot be made for a job that is {state}: {error} is expected")
        except ReadError as error:
            self._problem(at, f"a client cannot read this of a job that is {state}: {error}")

    def _lacks(self, view: View, operations: tuple[str, ...], body: Json, job: Job) -> set[str]:
        return lacking(self._read(view, operations, body, job), self._job_type.outputs, job)

    def _read(self, view: View, operations: tuple[str, ...], body: Json, job: Job) -> Read:
        """Read a view backwards, as a client does."""
        scope: dict[str, Any] = {"request": self._request, "job": {"input": job.input}}
        if operations:
            status = view.status(job.state, {"job": job})
            headers = {name.lower(): value for name, value in rendered_headers(view.headers, self._scope(job))}
            scope |= {"statusCode": status, "response": {"body": body, "header": headers}}
            if 200 <= status < 300 and view.success is not None and not view.success.holds(scope):
                self._problem(_at(view), f"a client takes this of a job that is {job.state} for an error")
        return view.read(body, scope)

    def _frames(self) -> None:
        events = self._job_type.events
        for state, frames in events.frames.items() if events is not None else ():
            for index, frame in enumerate(frames):
                at = ("events", "frames", state.value, index)
                with self._rendering(at, state):
                    job, reading = self.job(state), Reading()
                    scope = self._scope(job)
                    for data in [frame.data.render(scope)] if frame.each is None else frame.each.render(scope):
                        frame.data.read(_json(data), reading, ())
                        told = None if events is None else recognise(events, frame.event or "message", _json(data))
                        if told is None and not list(leaves(frame.data)):
                            continue  # it says that the stream is over, or the like
                        if told is None or (told.state is not state and not {told.state, state} <= ACTIVE):
                            self._problem(at, f"a client cannot get the state of a job that is {state} from this")
                        if events is not None and events.scope == "account" and reading.get(("job", "id")) != job.id:
                            self._problem(at, f"a client cannot get the id of a job that is {state} from this")

    # --- the document's schemas -----------------------------------------------------------------------------------

    def _held_to_schemas(self, view: View, operations: tuple[str, ...], state: State | None, job: Job | None) -> Json:
        rendered = view.render(self._scope(job), state)
        body = _json(rendered.body)
        about = f" of a job that is {job.state}" if job is not None else ""
        for operation in operations:
            self._takes(operation, rendered.status, body, _at(view), about)
        for operation in () if operations else self._job_type.creates[0].operations:
            schema = callback_schema(self._contract, operation)
            self._violations(schema, body, _at(view), f" of the callback{about}")
        return body

    def _takes(self, operation: str, status: int, body: Json, at: tuple[str | int, ...], about: str) -> None:
        schema = schema_of(self._contract, operation, status)
        self._violations(schema, body, at, f"{about} that {operation} answers with HTTP {status}")

    def _violations(self, schema: SchemaCheck | None, body: Json, at: tuple[str | int, ...], about: str) -> None:
        for violation in schema.violations(body) if schema is not None and body is not None else ():
            where = f" at {violation.pointer}" if violation.pointer else ""
            hint = _NO_VALUE if violation.value is None and violation.keyword != "required" else ""
            wrong = f"{violation.message}{hint}"
            self._problem(at, f"the body{about} is not what the document's schema says{where}: {wrong}")

    def _other_views(self) -> None:
        """Hold to the schemas what `_prove` has not seen: answers to a cancel, delete or list, and those of no job."""
        cancel, delete, listing = self._job_type.cancel, self._job_type.delete, self._job_type.listing
        words = self._job_type.words.by_state
        of_cancel = [] if cancel is None else [cancel.reply, cancel.refused]
        for operation, view in views_of(self._job_type):
            shown: list[tuple[State | None, State | None]] = [] if State.QUEUED in view.variants else [(None, None)]
            if any(view is other for other in of_cancel):
                shown = [(State.CANCELLED, State.CANCELLED)]
            elif delete is not None and view is delete.reply:
                shown = [(state, state) for state in words if state in delete.states]
            elif delete is not None and view is delete.refused:
                shown = [(state, state) for state in words if state not in delete.states]
            elif listing is not None and view is listing.reply:
                shown = [(None, state) for state in words]
            for rendered_in, state in shown:
                with self._rendering(_at(view), state or State.QUEUED):
                    job = None if state is None else self.job(state)
                    body = self._held_to_schemas(view, (operation,), rendered_in, job)
                    if job is not None and rendered_in is None and "id" in self._lacks(view, (operation,), body, job):
                        self._problem(_at(view), f"a client cannot get the id of a job that is {state} from this")

    def _errors(self) -> None:
        errors, parts = self._job_type.errors, self._job_type.operation_ids()
        for name in dict.fromkeys((*ENGINE_ERRORS, *errors.rules)):
            concerned = [op for op in (*parts, "") if self._can_meet(name, op, parts.get(op, ""))]
            without = []
            for operation in concerned:
                rules = list(rules_of(self._job_type, name, operation))
                if not rules or rules[-1].when is not None:
                    without.append(operation)
                for rule in rules if operation else ():
                    self._error(rule, operation)
            if name in ENGINE_ERRORS and without:
                where = "" if without == concerned else f" in {', '.join(without)}"
                self._note(("errors",), f'no rule for every "{name}"{where}: a problem document answers the rest')
            for index, rule in enumerate(errors.rules.get(name, ())):
                self._marked(rule, ("errors", name, index))

    def _can_meet(self, name: str, operation: str, part: str) -> bool:
        """Say whether an operation can answer an error; no operation answers what a path or a file does."""
        job_type = self._job_type
        if name in ("unknownPath", "methodNotAllowed", "expired"):
            return not operation and (name != "expired" or job_type.assets is not None)
        if not operation:
            return False
        asked = self._contract.operations[operation]
        limited = any(operation in rate.operations for rate in job_type.rates)
        return {
            "unauthorized": bool(asked.security),
            "malformed": asked.body is not None,
            "unsupportedMediaType": asked.body is not None,
            "tooLarge": asked.body is not None,
            "invalid": asked.body is not None or bool(asked.parameters),
            "unknownModel": part == "create" and bool(job_type.models),
            "idTaken": part == "create" and bool(job_type.chosen_id),
            "credits": part == "create" and bool(job_type.prices),
            "notFound": part in ("status", "result", "cancel", "delete", "models") and bool(asked.parameters),
            "rateLimited": limited or (part == "create" and job_type.concurrent_jobs is not None),
            "serverError": True,
        }.get(name, part == "create" or (part == "status" and name == self._invisible))

    def _marked(self, rule: ErrorRule, at: tuple[str | int, ...]) -> None:
        """Note a rule that comes as a success does, and has nothing by which a client could know it."""
        transports = (rule.transport,) if rule.transport else self._job_type.errors.transports
        status = 200 if "body" in transports else rule.http
        if 200 <= status < 300 and not literals(rule.body):
            text = f'a client cannot tell the error "{rule.name}" from a success, or from other errors: it comes as'
            text += f" HTTP {status} with no marked literal in its body; mark one with {{$match: …}}"
            self._note(at, text)

    def _error(self, rule: ErrorRule, operation: str) -> None:
        """Hold the answer of a rule to the schemas; a client must not take it for a success."""
        at = ("errors", rule.name, self._job_type.errors.rules[rule.name].index(rule))
        own = (view.success for name, view in views_of(self._job_type) if name == operation)
        success = next(own, self._job_type.success)
        for transport in self._job_type.errors.transports:
            with self._rendering(at, State.QUEUED):
                rendered = rule.render(self._scope(self.job(State.QUEUED)), transport)
                body = _json(rendered.body)
                self._takes(operation, rendered.status, body, at, f' of the error "{rule.name}"')
                scope = {"statusCode": rendered.status, "response": {"body": body, "header": {}}}
                if 200 <= rendered.status < 300 and (success is None or success.holds(scope)):
                    self._problem(at, f'a client takes the error "{rule.name}" of {operation} for a success')
                taken = self._job_type.errors.recognise(operation, rendered.status, body).rule
                if taken is not None and taken.name != rule.name:
                    self._note(at, f'a client takes the error "{rule.name}" of {operation} for "{taken.name}"')


def _at(view: View) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in view.name.split("."))


def _json(value: Json) -> Json:
    """Return a value as it is after its way over the wire."""
    return value if isinstance(value, bytes) else parse_json(dump_json(value))
