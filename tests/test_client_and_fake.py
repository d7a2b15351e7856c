"""Client and fake, joined in memory and held against a simple model of what jobs and money do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from tests.provided import ENDED, PROVIDED
from understudy import (
    Client,
    Fake,
    Job,
    JobEnded,
    JobError,
    OutcomeUnknown,
    ProviderError,
    Refused,
    State,
    Step,
    UnreadableReply,
    WaitTimeout,
)
from understudy.callback import Delivery
from understudy.fake import API_KEY
from understudy.strategies import timelines

pytestmark = pytest.mark.unmeasured

HOOK = "http://127.0.0.1:9/hook"


@dataclass
class Expected:
    """What the model expects of one job: where it is in its steps, and since when."""

    steps: list[Step]
    entered_at: float
    cost: Decimal
    failure: str | None
    visible_at: float
    hook: bool
    model: str
    reads_left: int | None = None
    refunded: Decimal = Decimal(0)
    shown: State | None = None
    stale: bool = True  # whether something has changed since it was shown

    def __post_init__(self) -> None:
        self._enter(self.steps[0], self.entered_at)

    @property
    def state(self) -> State:
        return self.steps[0].state

    def advance(self, now: float) -> None:
        """Go through the steps that are over by now."""
        while self.steps[0].seconds is not None and self.entered_at + self.steps[0].seconds <= now:
            self._next(self.entered_at + self.steps[0].seconds)

    def read(self, now: float) -> None:
        """Be read: the state is shown, and a step that lasts for so many reads may be over."""
        self.advance(now)
        self.shown, self.stale = self.state, False
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left == 0:
                self._next(now)

    def cancel(self, now: float) -> None:
        """Be cancelled, unless it is too late for that."""
        self.advance(now)
        if self.state not in ENDED:
            self.steps = [Step(State.CANCELLED)]
            self._enter(self.steps[0], now)

    def _next(self, now: float) -> None:
        del self.steps[0]
        self._enter(self.steps[0], now)

    def _enter(self, step: Step, now: float) -> None:
        self.entered_at, self.reads_left, self.stale = now, step.reads, True
        if step.state is State.FAILED and self.failure is not None:
            self.refunded = self.cost


@dataclass
class Callbacks:
    """Hears the callbacks of a fake, and reads them with the client's own eyes.

    Attributes:
        heard: Job id → when an attempt came, and whether it was taken.
        deaf: Whether callbacks are answered with an error.
    """

    client: Client | None = None
    heard: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)
    told: dict[str, Job] = field(default_factory=dict)
    deaf: bool = False
    secret: str | None = None

    def hear(self, delivery: Delivery, now: float) -> int:
        assert self.client is not None
        assert delivery.url == HOOK
        job = self.client.read_callback(dict(delivery.headers), delivery.body, secret=self.secret)
        assert job.id == delivery.job_id
        assert self.told.setdefault(job.id, job) == job  # every attempt tells the same
        self.heard.setdefault(job.id, []).append((now, not self.deaf))
        return 503 if self.deaf else 200


class HeardFake(Fake):
    """A fake whose callbacks are heard without a socket."""

    def __init__(self, provider: str, callbacks: Callbacks, **options: Any) -> None:
        super().__init__(provider, **options)
        self.callbacks = callbacks
        self.provider._back.stage._send = self._hear

    def _hear(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        done(self.callbacks.hear(delivery, self.clock.now()), "")


class Together(RuleBasedStateMachine):
    """Draws what a client does, plays it against the fake, and compares both with the model."""

    provider: str
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.given = PROVIDED[self.provider]
        self.expected: dict[str, Expected] = {}
        self.seen: dict[str, Job] = {}
        self.looked_at = 0
        self.charged = Decimal(0)
        self.callbacks = Callbacks()
        self.fake = HeardFake(self.provider, self.callbacks, balance=float(self.given.balance))
        self.http = self.fake.client()
        self.client = Client(self.provider, api_key=API_KEY, http=self.http, clock=self.fake.clock)
        self.callbacks.client = self.client

    @initialize(signed=st.booleans(), deaf=st.booleans())
    def choose(self, signed: bool, deaf: bool) -> None:
        """Let the receiver check signatures, where there are any, and take callbacks or not."""
        self.callbacks.deaf = deaf
        self.callbacks.secret = "understudy-webhook-key" if signed and self.provider == "kie" else None

    # What a client does

    @rule(
        target=jobs,
        choice=st.integers(0, 1),
        error=st.none() | st.integers(0, 3),
        failure=st.none() | st.integers(0, 1),
        data=st.data(),
        usual=st.booleans(),
        hidden=st.booleans(),
        hook=st.booleans(),
    )
    def submit(
        self,
        choice: int,
        error: int | None,
        failure: int | None,
        data: st.DataObject,
        usual: bool,
        hidden: bool,
        hook: bool,
    ) -> Any:
        """Make a job that goes as drawn, or is refused as drawn."""
        timeline = None if usual else data.draw(timelines(self.provider))
        given = self.given
        named = None if error is None else list(given.errors)[error % len(given.errors)]
        fails = None if failure is None else given.failures[failure]
        hidden_seconds = given.hidden_seconds if hidden else 0
        model, input, cost = given.choices[choice]
        hook = hook and given.callbacks is not None
        self.fake.next_job(failure=fails, error=named, timeline=timeline, visible_after_seconds=hidden_seconds)
        outcome = given.errors.get(named or "", "accepted")
        if outcome == "later":  # the plan is spent on the create that was refused
            outcome, timeline, fails, hidden_seconds = "accepted", None, None, 0
        try:
            job = self.client.submit(input, model=model, callback_url=HOOK if hook else None)
            came_to = "accepted"
        except (Refused, OutcomeUnknown) as error_met:
            came_to = "refused" if isinstance(error_met, Refused) else "unknown"
        if outcome == "accepted" and Decimal(cost) > self.balance:
            outcome = "refused"
        assert came_to == outcome
        if came_to != "accepted":
            return multiple()
        planned = [*(timeline or given.timeline)]
        if fails is not None and planned[-1].state in ENDED:
            planned[-1] = Step(State.FAILED)
        now = self.fake.clock.now()
        self.expected[job.id] = Expected(planned, now, Decimal(cost), fails, now + hidden_seconds, hook, model)
        self.charged += Decimal(cost)
        self.seen[job.id] = job
        return job.id

    @rule(job_id=jobs)
    def look(self, job_id: str) -> None:
        """Ask once how a job is, and compare everything that the answer carries."""
        latency = self.fake.provider.behaviour.latency_seconds
        if self.fake.clock.now() + latency < self.expected[job_id].visible_at:
            with pytest.raises(ProviderError) as caught:
                self.client.status(self.seen[job_id])
            assert caught.value.name == "notFound"
            return
        self._saw(job_id, self.client.status(self.seen[job_id]))

    @rule(job_id=jobs, seconds=st.integers(1, 120))
    def wait(self, job_id: str, seconds: int) -> None:
        """Wait for a job until it ends or the deadline passes."""
        began, overrun = self.fake.clock.now(), None
        job: Job | None
        try:
            job = self.client.wait(self.seen[job_id], timeout_seconds=seconds)
        except JobEnded as error:
            job = error.job
        except WaitTimeout as error:
            job = error.job
            overrun = self.fake.clock.now() - began - seconds
        assert job is not None
        assert job.terminal == (overrun is None)
        assert overrun is None or -0.001 < overrun < 1  # the last request may be on its way at the deadline
        self._saw(job_id, job)

    @precondition(lambda self: self.given.cancels)
    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """Cancel a job, in time or too late."""
        self._saw(job_id, self.client.cancel(self.seen[job_id]))

    @rule(job_id=jobs)
    def download(self, job_id: str) -> None:
        """Fetch the result of a job that the client knows to have succeeded."""
        job = self.seen[job_id]
        if job.state is not State.SUCCEEDED or not job.outputs:  # a create tells of an end, and not of what came of it
            return
        latency = self.fake.provider.behaviour.latency_seconds
        until = self.expected[job_id].entered_at + self.given.link_seconds
        if self.fake.clock.now() + latency > until:
            with pytest.raises(UnreadableReply):
                self.client.download(job.outputs[0])
        else:
            assert self.client.download(job.outputs[0]).startswith(b"\x89PNG")

    @rule(seconds=st.integers(1, 2000))
    def let_time_pass(self, seconds: int) -> None:
        """Do something else for a while."""
        self.fake.clock.advance(seconds)

    @rule()
    def turn_a_deaf_ear(self) -> None:
        """Answer callbacks with an error from now on, or no longer."""
        self.callbacks.deaf = not self.callbacks.deaf

    @precondition(lambda self: self.provider == "oxen")
    @rule(status=st.sampled_from(["", "queued", "processing", "succeeded", "failed", "cancelled"]))
    def list_jobs(self, status: str) -> None:
        """List the jobs in a state; without one, those that are active."""
        told = self.http.get("/api/ai/queue", params={"status": status} if status else {}).json()
        self._follow()
        words = {"processing": "running"}
        states = {words.get(status, status)} if status else {"queued", "running"}
        ids = [job_id for job_id, expected in self.expected.items() if expected.state.value in states]
        assert [job["generation_id"] for job in told["generations"]] == ids
        assert told["count"] == len(ids)

    @precondition(lambda self: self.provider == "replicate")
    @rule()
    def list_all_jobs(self) -> None:
        """Walk through all jobs, the newest first."""
        assert [job.id for job in self.client.jobs()] == list(self.expected)[::-1]

    @precondition(lambda self: self.provider == "kie")
    @rule()
    def ask_for_the_balance(self) -> None:
        """Ask what is left."""
        told = self.http.get("/api/v1/chat/credit").json()["data"]
        self._follow()
        assert told == self.balance

    # The model

    @property
    def balance(self) -> Decimal:
        self._follow()
        refunded = sum((expected.refunded for expected in self.expected.values()), Decimal(0))
        return Decimal(self.given.balance) - self.charged + refunded

    def _follow(self) -> None:
        """Let the model live through what has happened since it was last asked: the reads, and the time."""
        self.fake.clock.run_due()
        exchanges = self.fake.journal.exchanges
        for exchange in exchanges[self.looked_at :]:
            concerned = [self.expected[job_id] for job_id in exchange.jobs if job_id in self.expected]
            if exchange.operation == self.given.reads and exchange.error is None:
                concerned[0].read(exchange.at)
            elif exchange.operation == self.given.cancels:
                concerned[0].cancel(exchange.at)
        self.looked_at = len(exchanges)
        for expected in self.expected.values():
            expected.advance(self.fake.clock.now())

    def _saw(self, job_id: str, job: Job) -> None:
        """Compare what the client was told with what the fake knows, and with what it was told before."""
        before, expected, record = self.seen[job_id], self.expected[job_id], self.fake.jobs[job_id]
        told_its_end = expected.shown in ENDED
        self._follow()
        assert job.id == job_id
        assert job.model == expected.model
        if expected.shown is not None:
            assert job.state is expected.shown
        two_steps = self.fake.contract.job_type.result is not None
        if told_its_end:  # what came of it may be known only since it was asked for
            same = replace(job, data_removed=before.data_removed)
            assert job.state is before.state if two_steps else same == before
        self.seen[job_id] = job
        if expected.stale or job.data_removed:
            return  # that read was the last of its step, or time has gone on since
        status = self.fake.contract.job_type.status
        assert status is not None
        for name in status.reply.fields(job.state) & COMPARED.keys():
            mine, theirs = (seen_of(getattr(one, COMPARED[name])) for one in (job, record))
            assert mine == pytest.approx(theirs, abs=1) if isinstance(theirs, float) else mine == theirs, name
        if job.outputs or not two_steps:
            assert [output.url for output in job.outputs] == [output.url for output in record.outputs]

    # What always holds

    @invariant()
    def jobs_are_where_the_model_has_them(self) -> None:
        """The fake has those jobs that were accepted, each in the state that the model expects."""
        self._follow()
        assert {job_id: job.state for job_id, job in self.fake.jobs.items()} == {
            job_id: expected.state for job_id, expected in self.expected.items()
        }

    @invariant()
    def money_adds_up(self) -> None:
        """Each job that was accepted is charged once and paid back at most once; nothing else is charged."""
        ledger = self.fake.ledger
        assert Decimal(str(ledger.balance)) == self.balance
        assert Decimal(str(ledger.charged)) == self.charged
        assert ledger.refunded <= ledger.charged
        charges = [entry.job_id for entry in ledger.entries if entry.amount > 0]
        assert charges == list(self.expected)
        refunds = {entry.job_id: -Decimal(str(entry.amount)) for entry in ledger.entries if entry.amount < 0}
        assert refunds == {job_id: one.refunded for job_id, one in self.expected.items() if one.refunded}
        assert len(refunds) == len(ledger.entries) - len(charges)

    @invariant()
    def nothing_follows_an_end(self) -> None:
        """A job that has ended enters no further state."""
        ended: set[str] = set()
        for transition in self.fake.journal.transitions:
            assert transition.job_id not in ended
            if transition.state in ENDED:
                ended.add(transition.job_id)

    @invariant()
    def callbacks_come_when_they_should(self) -> None:
        """Each job that asked for it calls back when it ends, and again after each pause until it is heard."""
        self._follow()
        now = self.fake.clock.now()
        for job_id, expected in self.expected.items():
            heard = self.callbacks.heard.get(job_id, [])
            if not (expected.hook and expected.state in self.given.called_back):
                assert not heard
                continue
            due = expected.entered_at
            for attempt, pause in enumerate((0, *(self.given.callbacks or ()))):
                due += pause
                if due > now or any(taken for _, taken in heard[:attempt]):
                    assert len(heard) == attempt
                    break
                assert heard[attempt][0] == pytest.approx(due)
            assert self.callbacks.told[job_id].state is expected.state


# The members of a view that a record can be compared with.
COMPARED = {
    "job.status": "status",
    "job.input": "input",
    "job.model": "model",
    "job.error.message": "error",
    "job.cost": "cost",
    "job.spent": "spent",
    "job.refunded": "refunded",
    "job.createdAt": "created_at",
    "job.startedAt": "started_at",
    "job.updatedAt": "updated_at",
    "job.endedAt": "ended_at",
    "job.durationSeconds": "duration_seconds",
    "job.result": "result",
}


def seen_of(value: Any) -> Any:
    """Return a member of a job, of an error what a client is told of it."""
    return (value.name, value.code, value.message) if isinstance(value, JobError) else value


def machine(provider: str) -> Any:
    """Return the test case of a provider."""
    found = type(f"Together{provider.title()}", (Together,), {"provider": provider}).TestCase  # type: ignore[attr-defined]
    found.settings = settings(stateful_step_count=30)
    return found


TestKie = machine("kie")
TestShortapi = machine("shortapi")
TestOxen = machine("oxen")
TestReplicate = machine("replicate")
TestFal = machine("fal")
