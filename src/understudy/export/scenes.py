"""What is exported as an example is played first: each operation in each state of a job, each error, each callback.

Each scene is played on a virtual clock of its own, so that none knows of another, and the same contract gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from understudy.behaviour import Behaviour
from understudy.callback import Delivery
from understudy.clock import EPOCH_SECONDS, VirtualClock
from understudy.contract.creates import Create
from understudy.contract.expressions import Place
from understudy.contract.model import Contract, JobType
from understudy.contract.templates import merge
from understudy.lifecycle import TERMINAL, Job, Json, State, Step
from understudy.plan import Plan
from understudy.probes import PACE_SECONDS, naming, request_to, rules_of, sample_body, sample_parameters
from understudy.provider import Provider
from understudy.wire import Reply, Request, Wait

#: Where the callbacks of the scenes go.
CALLBACK_URL = "https://example.com/callback"

#: How long the jobs of the scenes take, in seconds.
TAKES_SECONDS = 12.0

#: The id that no job has.
NOBODYS_ID = "no-such-job"


# Errors that a request brings about by itself, or that no create answers.
_NOT_PLANNED = frozenset({"unauthorized", "invalid", "notFound", "expired", "unknownPath", "methodNotAllowed"})


class Way(NamedTuple):
    """A way in which a job can be: a state, and where it has failed, the named failure."""

    state: State
    failure: str | None = None

    @property
    def name(self) -> str:
        """Such as `running`, or `failed-content-policy`."""
        return self.state.value if self.failure is None else f"{self.state.value}-{self.failure}"

    def plan(self, seconds: float) -> Plan:
        """Return a plan by which a job is so: at once, or where it has ended then, after so many seconds."""
        before = (Step(State.RUNNING, seconds=seconds),) if self.state in TERMINAL else ()
        return Plan(timeline=(*before, Step(self.state)), failure=self.failure)


class Scene(NamedTuple):
    """A request and its answer.

    Attributes:
        name: The way in which the job is, the named error, or `plain`.
        operation: The operationId.
        given: What the request has, as in a recording.
        request: The request.
        reply: The answer.
        job: The job that has to be there before, as it was then.
        way: How that job has to be, or without one the job that is made.
        error: What the next create has to be answered with, where the scene needs it.
    """

    name: str
    operation: str
    given: Mapping[str, Json]
    request: Request
    reply: Reply
    job: Job | None = None
    way: Way | None = None
    error: str | None = None


class Sent(NamedTuple):
    """A callback: the kind of job, how that was then, and what is sent."""

    job_type: JobType
    way: Way
    job: Job
    delivery: Delivery


class Playing:
    """A provider in a scene.

    Args:
        contract: What it promises.
        behaviour: How it acts.
        scenario: The story that is played.
        clock: By which; a new one by default.
        seed: From which ids are minted.

    Attributes:
        sent: The callbacks, each with its job as it was then.
    """

    def __init__(
        self,
        contract: Contract,
        behaviour: Behaviour,
        scenario: str | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.sent: list[tuple[Delivery, Job]] = []
        url = CALLBACK_URL if contract.tells_accounts else None
        self.provider = Provider(
            contract,
            behaviour,
            clock=self.clock,
            seed=seed,
            scenario=scenario,
            callback_url=url,
            send=self._collect,
        )

    def _collect(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        if delivery.job_id in self.provider.plays:  # a fault may have it tell of a job that is nobody's
            self.sent.append((delivery, replace(self.provider.plays[delivery.job_id].job)))
        done(200, "")

    def answer(self, request: Request) -> Reply | None:
        """Return the answer to a request, however long it takes; None for a stream, and for none at all."""
        outcome = self.provider.handle(request)
        while isinstance(outcome, Wait):
            self.clock.sleep(outcome.until - self.clock.now())
            outcome = outcome.resume()
        return outcome if isinstance(outcome, Reply) else None

    def settle(self, seconds: float = 0.0) -> None:
        """Let time pass, until each job can be read, and what is sent then has been sent."""
        self.clock.advance(seconds)
        visible = max((play.visible_at for play in self.provider.plays.values()), default=0.0)
        self.clock.advance(max(visible - self.clock.now(), PACE_SECONDS))

    def make(self, job_type: JobType, way: Way, seconds: float) -> None:
        """Make a job that is so after some seconds, and let them pass."""
        group, contract = job_type.creates[0], self.provider.contract
        operation = group.operations[0]
        self.provider.plan_next(way.plan(seconds))
        self.answer(request_to(contract.operations[operation], given_to(contract, group, operation)))
        self.settle(seconds)


def given_to(contract: Contract, group: Create, operation: str) -> dict[str, Json]:
    """Return what a create takes, as in a recording: an example, or a value that its schema takes."""
    asked = contract.operations[operation]
    body = sample_body(contract, asked)
    given = {**sample_parameters(contract, asked), **({} if body is None else {"body": body})}
    merged: dict[str, Json] = merge(given, naming(group.callback_url, CALLBACK_URL))
    return {part: value for part, value in merged.items() if part != "body" or asked.body is not None}


def ways_of(job_type: JobType) -> Iterator[Way]:
    """Yield each way in which a job can be."""
    for state in (state for state in State if job_type.words.by_state.get(state)):
        failures: list[str | None] = [*job_type.failures] if state is State.FAILED else []
        yield from (Way(state, failure) for failure in failures or [None])


def scenes_of(contract: Contract, behaviour: Behaviour, seed: int = 0) -> Iterator[Scene]:
    """Yield every scene of a provider, the creates first; ids and times are others with another seed."""
    for job_type in contract.job_types.values():
        yield from _Scenes(contract, behaviour, job_type, seed).scenes()


def callbacks_of(contract: Contract, behaviour: Behaviour, seed: int = 0) -> Iterator[Sent]:
    """Yield every callback of a provider; ids and times are others with another seed."""
    for job_type in contract.job_types.values():
        yield from _Scenes(contract, behaviour, job_type, seed).callbacks()


def _by_id(place: Place, job: Job) -> dict[str, Json]:
    return naming(place, job.id)


class _Scenes:
    """The scenes of one kind of job."""

    def __init__(self, contract: Contract, behaviour: Behaviour, job_type: JobType, seed: int) -> None:
        self._contract = contract
        self._behaviour = behaviour
        self._job_type = job_type
        self._seed = seed
        self._seconds = TAKES_SECONDS + seed

    def callbacks(self) -> Iterator[Sent]:
        for way in ways_of(self._job_type):
            playing = self._with_job(way)
            for delivery, job in playing.sent:
                if job.state is way.state:
                    yield Sent(self._job_type, way, job, delivery)

    def scenes(self) -> Iterator[Scene]:
        for group in self._job_type.creates:
            for operation in group.operations:
                yield from self._creates(group, operation)
        for part, about in self._job_type.about_a_job.items():
            if part != "events":
                for way in ways_of(self._job_type):
                    yield from self._about(about.operation, partial(_by_id, about.id), way)
                nobody = naming(about.id, NOBODYS_ID)
                yield from self._scene("notFound", about.operation, nobody, self._playing())
                yield from self._without_key(about.operation, nobody)
        yield from self._others()

    def _creates(self, group: Create, operation: str) -> Iterator[Scene]:
        given = given_to(self._contract, group, operation)
        if group.sync is not None and group.sync.when is None:
            for way in (way for way in ways_of(self._job_type) if way.state in TERMINAL):
                yield from self._scene(way.name, operation, given, self._planned(way.plan(self._seconds)), way=way)
        else:
            yield from self._scene("plain", operation, given, self._planned(Plan()))
        yield from self._without_key(operation, given)
        if "body" in given:
            wrong = self._scene("invalid", operation, {**given, "body": {}}, self._playing())
            yield from (scene for scene in wrong if scene.reply.error is not None)
        for error in self._job_type.errors.rules:
            if error not in _NOT_PLANNED and any(rules_of(self._job_type, error, operation)):
                yield from self._scene(error, operation, given, self._planned(Plan(error=error)), error=error)

    def _about(self, operation: str, named: Callable[[Job], Mapping[str, Json]], way: Way) -> Iterator[Scene]:
        playing = self._with_job(way)
        job = next((play.job for play in playing.provider.plays.values()), None)
        if job is not None:
            yield from self._scene(way.name, operation, named(job), playing, way=way, job=replace(job))

    def _others(self) -> Iterator[Scene]:
        """Yield what is about no job, or about all of them."""
        job_type, ended = self._job_type, Way(State.SUCCEEDED)
        if job_type.listing is not None:
            yield from self._about(job_type.listing.operation, lambda job: {}, ended)
        renew = None if job_type.assets is None else job_type.assets.renew
        if renew is not None:
            yield from self._about(renew.operation, lambda job: naming(renew.url, job.outputs[0].url), ended)
        for entry in job_type.model_operations:
            given = naming(entry.model, next(iter(job_type.models))) if entry.model is not None else {}
            yield from self._plain(entry.operation, given)
        uploads = [operation for upload in job_type.uploads for operation in upload.operations]
        jwks = [operation for operation, part in job_type.operation_ids().items() if part == "jwks"]
        for operation in (*job_type.replies, *uploads, *jwks):
            asked = self._contract.operations[operation]
            body = sample_body(self._contract, asked)
            given = {**sample_parameters(self._contract, asked), **({} if body is None else {"body": body})}
            yield from self._plain(operation, given)

    def _plain(self, operation: str, given: Mapping[str, Json]) -> Iterator[Scene]:
        yield from self._scene("plain", operation, given, self._playing())

    def _without_key(self, operation: str, given: Mapping[str, Json]) -> Iterator[Scene]:
        names = {entry.name.lower() for entry in self._contract.operations[operation].security}
        if names:
            bare = {**given, "headers": {**given.get("headers", {}), **dict.fromkeys(names)}}
            asked = self._scene("unauthorized", operation, bare, self._playing())
            yield from (scene for scene in asked if scene.reply.error is not None)  # where the key is in a header

    # --- playing ----------------------------------------------------------------------------------------------------

    def _planned(self, plan: Plan) -> Playing:
        playing = self._playing()
        playing.provider.plan_next(plan)
        return playing

    def _playing(self) -> Playing:
        clock = VirtualClock(start=EPOCH_SECONDS + self._seed * 1e6)
        return Playing(self._contract, self._behaviour, clock=clock, seed=self._seed)

    def _with_job(self, way: Way) -> Playing:
        """Return a provider with a job that is so, which can be read."""
        playing = self._playing()
        playing.make(self._job_type, way, self._seconds)
        return playing

    def _scene(
        self,
        name: str,
        operation: str,
        given: Mapping[str, Json],
        playing: Playing,
        *,
        way: Way | None = None,
        error: str | None = None,
        job: Job | None = None,
    ) -> Iterator[Scene]:
        """Ask, and yield what comes of it; nothing where the stand-in has no answer of the contract's."""
        request = request_to(self._contract.operations[operation], given)
        reply = playing.answer(request)
        if reply is None or ("content-type", "application/problem+json") in reply.headers:
            return
        if reply.error is not None:
            name = reply.error
        yield Scene(name, operation, given, request, reply, job, way, error)
