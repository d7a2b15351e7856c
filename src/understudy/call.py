"""A request on its way through the pipeline, and what every handler needs to answer it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from understudy.behaviour import Behaviour
from understudy.bodies import Malformed, Part, decode_body
from understudy.clock import Clock
from understudy.contract.codecs import CodecError
from understudy.contract.expressions import Expression, Place
from understudy.contract.loader import pointer_to
from understudy.contract.model import Contract, JobType
from understudy.contract.operations import Operation
from understudy.contract.validation import Violation
from understudy.contract.views import View
from understudy.faults.fault import Fault
from understudy.files import Files
from understudy.lifecycle import Json, State
from understudy.plan import Plan
from understudy.scenario import Scenario
from understudy.stage import Stage
from understudy.store import Account, Play, Plays
from understudy.wire import MAX_BODY_BYTES, Answered, Reply, Request, RequestView, defect


@dataclass(slots=True)
class Backstage:
    """What the handlers work with: the parts of one provider's stand-in.

    Attributes:
        usual: The plan of a job that goes as jobs usually do.
    """

    contract: Contract
    behaviour: Behaviour
    clock: Clock
    plays: Plays
    stage: Stage
    files: Files
    random: random.Random
    usual: Plan
    next_plans: deque[Plan] = field(default_factory=deque)


@dataclass(slots=True)
class Call:
    """A request on its way: routed, authenticated, decoded.

    Attributes:
        request: As it came.
        operation: What it asks for.
        job_type: The kind of job that this is about.
        account: Whose it is.
        view: As expressions see it.
        scope: All that expressions may name.
        now: When it is answered, in unix seconds.
        story: The scenario that is played to it.
        balance: What the account can spend on it, where the request's own scenario says so.
        faults: What strikes it.
        play: The job of the account that it is about, where it names one that there is.
    """

    request: Request
    operation: Operation
    job_type: JobType
    account: Account
    view: RequestView
    scope: dict[str, Any]
    now: float
    story: Scenario | None = None
    balance: float | None = None
    faults: Sequence[Fault] = ()
    play: Play | None = None

    def value(self, place: Place) -> Json:
        """Return what the client has sent at a place, codecs undone; what cannot be decoded is a violation."""
        for item in place:
            value = self._taken(item) if isinstance(item, Expression) else item
            if value is not None:
                return value
        return None

    def _taken(self, expression: Expression) -> Json:
        try:
            return expression.taken(self.scope)
        except (CodecError, OverflowError) as error:
            raise unfit(expression, expression.raw(self.scope), str(error)) from None

    def reply(self, view: View, state: State | None, ids: tuple[str, ...] = (), **scope: Any) -> Reply:
        """Render a view as the reply."""
        try:
            rendered = view.render({**self.scope, **scope}, state)
            return Reply.of(rendered, self.operation.id, ids)
        except CodecError as error:
            place = f"x-jobs.{self.job_type.name}.{view.name}"
            return defect(place, str(error), operation=self.operation.id, jobs=ids)


def unfit(expression: Expression, value: Json, expected: str) -> Answered:
    """Return the answer to a value of a request that is not what is expected at its place."""
    violation = about(expression, "format", expected, value, f"{expected} is expected")
    return Answered("invalid", violation=violation)


def about(expression: Expression, keyword: str, limit: Json, value: Json, message: str) -> Violation:
    """Return what is wrong with what a request has at a place."""
    place, *names = expression.path
    path = expression.pointer or names
    return Violation(place, path[-1] if path else place, pointer_to(path), keyword, limit, value, message)


# --- decoding and checking ------------------------------------------------------------------------------------------


def decoded(request: Request, operation: Operation) -> Json:
    """Decode the body of a request by its content type.

    Raises:
        Answered: It is too large, of a type that the operation does not take, or not what its type says.
    """
    if len(request.body) > MAX_BODY_BYTES:
        raise Answered("tooLarge")
    if operation.body is None or not request.body:
        return None
    content_type = request.header.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in operation.body.media_types:
        message = f"{media_type or 'no content type'} is not one of {', '.join(operation.body.media_types)}"
        raise Answered("unsupportedMediaType", violation=_about_body("contentType", media_type, message))
    try:
        return decode_body(media_type, content_type, request.body, operation.body.fields)
    except Malformed as error:
        raise Answered(
            "malformed", violation=_about_body("format", None, f"the body is not {media_type}: {error}")
        ) from None


def _about_body(keyword: str, value: Json, message: str) -> Violation:
    return Violation("body", "body", "", keyword, None, value, message)


def violations(call: Call) -> list[Violation]:
    """Return what is wrong with a request: its parameters first, then its body."""
    found: list[Violation] = []
    for parameter in call.operation.parameters:
        found += parameter.violations(getattr(call.view, parameter.place))
    body = call.operation.body
    if body is not None and (body.required or call.request.body):
        found += body.violations(without_files(call.view.body, lambda file: ""))
    return found


def plain(body: Json) -> Json:
    """Return a decoded body as JSON: of a file it has what tells of it."""
    return without_files(body, dict)


_OF_FILES: frozenset[type] = frozenset({Part, list})


def without_files(body: Json, told: Callable[[Part], Json]) -> Json:
    """Return a decoded body with something in the place of each file; to a schema that is text."""
    if not isinstance(body, dict):
        return "" if isinstance(body, bytes) else body
    for value in body.values():
        if value.__class__ in _OF_FILES and _has_file(value):
            break
    else:
        return body

    def shown(value: Json) -> Json:
        return told(value) if isinstance(value, Part) else value

    return {name: [*map(shown, item)] if isinstance(item, list) else shown(item) for name, item in body.items()}


def _has_file(value: Json) -> bool:
    return isinstance(value, Part) or (isinstance(value, list) and any(isinstance(item, Part) for item in value))


def checked(call: Call) -> None:
    """Raise Answered when anything is wrong with a request."""
    found = violations(call)
    if found:
        raise refused(found[0])


def refused(violation: Violation) -> Answered:
    """Return the answer to a violation."""
    return Answered("unknownModel" if violation.keyword == "discriminator" else "invalid", violation=violation)
