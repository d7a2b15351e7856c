"""The ordeal: a client and a fake joined in memory, everything goes wrong, and what must hold holds.

It knows nothing of how a job should go; `test_client_and_fake` has a model of that. Here Hypothesis draws a provider,
requests, timelines, faults at any moment, deaf receivers, jumps of the clock and calls of the client, and after each of
them the promises below are looked at.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from understudy import (
    Client,
    ClientError,
    Fake,
    Inbox,
    Job,
    JobEnded,
    OutcomeUnknown,
    ProviderError,
    Refused,
    State,
    UnreadableReply,
    WaitTimeout,
)
from understudy.callback import Delivery
from understudy.exchange import Answer
from understudy.exchange import retry_after as asked_to_wait
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import TERMINAL
from understudy.mishaps import combinations as mishaps
from understudy.strategies import happenings, timelines
from understudy.strategies.machine import charged_twice, gone_on

KEY = "sk-a-key-that-nobody-may-see"
SECRET = "understudy-webhook-key"  # of the fake's behaviour file
HOOK = "http://127.0.0.1:9/hook"
PROMPT = {"prompt": "a lighthouse"}

#: What a client does at each provider, and with what.
INPUTS: dict[str, dict[str, Any]] = {
    "kie": {"model": "nano-banana-pro", "input": PROMPT},
    "oxen": {"model": "google-nano-banana-pro", "input": PROMPT},
    "shortapi": {"model": "google/nano-banana-2/text-to-image", "input": {**PROMPT, "aspect_ratio": "1:1"}},
}
PARTS = {
    "kie": ("create", "status", "assets", "callback"),
    "oxen": ("create", "status", "cancel", "assets", "events"),
    "shortapi": ("create", "status", "assets", "callback"),
}

#: How often each fault struck, by provider, fault and part: what the nightly run shows.
REACHED: Counter[tuple[str, str, str]] = Counter()

#: Named errors that pass; the others are answered to a client that has done something wrong.
PASSING = ("serverError", "rateLimited")

#: Statuses of an error page that pass.
PASSING_STATUSES = (502, 503, 524)


@functools.cache
def combinations(provider: str) -> list[tuple[str, str]]:
    """Return the faults that a client can meet at a provider and come through, each with the part that it strikes."""
    contract = load_provider(find_provider(provider))[0]
    return [
        (name, part)
        for name, part in mishaps(contract)
        if part in PARTS[provider] and not happenings.misleads(contract, name)
    ]


@functools.cache
def drawn_faults(provider: str, names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return the faults that a client can come through, those of some names or all."""
    contract = load_provider(find_provider(provider))[0]
    options = [strike for strike in combinations(provider) if not names or strike[0] in names]
    drawn = st.sampled_from(options).flatmap(lambda strike: happenings.fault_at(contract, *strike))
    return drawn.map(passing)


def passing(fault: dict[str, Any]) -> dict[str, Any]:
    """Return a fault as one that passes: with an error that does, and an error page that does."""
    if fault.get("error", PASSING[0]) not in PASSING:
        fault = {**fault, "error": PASSING[len(fault["error"]) % 2]}
    if "status" in fault:
        fault = {**fault, "status": PASSING_STATUSES[fault["status"] % 3]}
    if fault["fault"] == "not-yet-visible":  # for longer than a contract says, it means that there is no such job
        fault = {**fault, "seconds": min(fault.get("seconds", 5.0), 5.0)}
    return fault


@dataclass
class Wire(httpx.BaseTransport):
    """Passes requests on to the fake, and keeps what the promises need to know."""

    fake: Fake
    inner: httpx.BaseTransport
    quiet_until: dict[str, float] = field(default_factory=dict)
    too_soon: list[str] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        operation = f"{request.method} {request.url.path}"
        now = self.fake.clock.now()
        if now < self.quiet_until.get(operation, 0.0) - 0.001:
            self.too_soon.append(f"{operation} came {self.quiet_until[operation] - now:.1f} s before its Retry-After")
        response = self.inner.handle_request(request)
        asked = asked_to_wait(Answer(response.status_code, response.headers, b"", self.fake.clock.now()))
        if asked is not None:
            self.quiet_until[operation] = self.fake.clock.now() + asked
        return response


class Ordeal(RuleBasedStateMachine):
    """Draws what happens, and looks after each of it whether what was promised holds.

    Attributes:
        providers: From which one is drawn.
        faults: From which those that strike are drawn; empty for all.
    """

    jobs = Bundle("jobs")
    providers: tuple[str, ...] = ("kie", "oxen", "shortapi")
    faults: tuple[str, ...] = ()
    fake: Fake

    @initialize(data=st.data(), seed=st.integers(0, 3), signed=st.booleans())
    def begin(self, data: st.DataObject, seed: int, signed: bool) -> None:
        """Join a client to a fake."""
        self.provider = provider = data.draw(st.sampled_from(self.providers))
        self.fake = Fake(provider, seed=seed, balance=200)
        self.wire = Wire(self.fake, self.fake.transport())
        self.http = httpx.Client(transport=self.wire, timeout=None)  # the client has its own
        self.client = Client(provider, api_key=KEY, http=self.http, clock=self.fake.clock)
        self.told: list[tuple[str, State]] = []
        self.deaf = False
        self.errors: list[BaseException] = []
        self.seen: dict[str, Job] = {}
        self.owned: set[str] = set()  # charged, and the client said so or that it may be
        self.inbox: Inbox | None = None
        callback = self.client.contract.job_type.callback
        if callback is not None:
            secret = SECRET if signed and callback.sign is not None else None
            self.inbox = Inbox(self.client, secret=secret, on_job=lambda job: self.told.append((job.id, job.state)))
            self.signed = secret is not None
        self.fake.provider._back.stage._send = self._deliver

    # --- what goes wrong ---

    @rule(data=st.data(), count=st.integers(1, 3))
    def arm(self, data: st.DataObject, count: int) -> None:
        """Have some things go wrong from now on, some time."""
        for _ in range(count):
            self.fake.fault(**data.draw(drawn_faults(self.provider, self.faults)))

    @rule()
    def turn_a_deaf_ear(self) -> None:
        """Answer callbacks with an error from now on, or no longer."""
        self.deaf = not self.deaf

    @rule(seconds=st.sampled_from([1, 10, 100, 4000]))
    def let_time_pass(self, seconds: int) -> None:
        """Do something else for a while."""
        self.fake.clock.advance(seconds)

    # --- what a client does ---

    @rule(
        target=jobs,
        data=st.data(),
        usual=st.booleans(),
        fails=st.sampled_from([False, False, True]),
        hook=st.booleans(),
        seconds=st.sampled_from([1, 60, 300]),
    )
    def submit(self, data: st.DataObject, usual: bool, fails: bool, hook: bool, seconds: int) -> Any:
        """Make a job; it is charged for once if there is one, and not if it was refused."""
        timeline = None if usual else data.draw(timelines(self.provider))
        if timeline is not None or fails:
            self.fake.next_job(timeline=timeline, failure="content-policy" if fails else None)
        before = self._charges()
        job, error = None, None
        with self._calling(seconds + 30):
            try:
                job = self.client.submit(
                    **INPUTS[self.provider],
                    callback_url=HOOK if hook and self.inbox is not None else None,
                    timeout_seconds=seconds,
                )
            except (Refused, OutcomeUnknown) as met:
                error = met
                self.errors.append(met)
        self.fake.provider._back.next_plans.clear()
        made = self._charges()[len(before) :]
        assert len(made) <= 1, f"one submit charged for {len(made)} jobs"
        if job is None:
            assert not (isinstance(error, Refused) and made), f"a job was charged, and the client says: {error}"
            self.owned.update(made)
            return multiple()
        assert made == [job.id], f"the client has job {job.id}, and was charged for {made}"
        self.owned.add(job.id)
        self._look_at(job)
        return job.id

    @rule(job_id=jobs)
    def status(self, job_id: str) -> None:
        """Ask once how a job is."""
        with self._calling(40), self._errors_allowed(ProviderError, UnreadableReply):
            self._look_at(self.client.status(self.seen[job_id]))

    @rule(job_id=jobs, seconds=st.sampled_from([5, 60, 700]), by_inbox=st.booleans())
    def wait(self, job_id: str, seconds: int, by_inbox: bool) -> None:
        """Wait for a job, perhaps for a callback about it: it ends, or the deadline comes."""
        inbox = self.inbox if by_inbox else None
        with self._calling(seconds), self._ends_allowed():
            self._look_at(self.client.wait(self.seen[job_id], timeout_seconds=seconds, inbox=inbox))

    @precondition(lambda self: getattr(self, "provider", "") == "oxen")
    @rule(job_id=jobs, seconds=st.sampled_from([5, 60, 700]))
    def follow(self, job_id: str, seconds: int) -> None:
        """Wait for a job by the stream of events."""
        with self._calling(seconds), self._ends_allowed():
            self._look_at(self.client.follow(self.seen[job_id], timeout_seconds=seconds))

    @precondition(lambda self: getattr(self, "provider", "") == "oxen")
    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """Cancel a job, in time or too late."""
        with self._calling(80), self._errors_allowed(ProviderError, UnreadableReply):
            self._look_at(self.client.cancel(self.seen[job_id]))

    @rule(job_id=jobs)
    def download(self, job_id: str) -> None:
        """Fetch a result: the whole file, or an error."""
        job = self.seen[job_id]
        if job.state is State.SUCCEEDED and job.outputs:
            with self._calling(600), self._errors_allowed(UnreadableReply):
                assert len(self.client.download(job.outputs[0])) >= 0

    @rule(data=st.data(), hook=st.booleans(), by=st.sampled_from(["wait", "follow", "cancel"]))
    def go_all_the_way(self, data: st.DataObject, hook: bool, by: str) -> None:
        """Have something go wrong, make a job, wait for it and fetch its result, as most clients do."""
        self.arm(data, 1)
        made = self.submit(data, True, False, hook, 60)
        if isinstance(made, str):
            if by == "cancel" and self.provider == "oxen":
                self.cancel(made)
            if by == "follow" and self.provider == "oxen":
                self.follow(made, 700)
            self.wait(made, 700, hook)
            self.download(made)

    # --- what holds ---

    @invariant()
    def no_job_is_lost(self) -> None:
        """Each job that was charged is known to the client, or it was told that there may be one."""
        assert set(self._charges()) <= self.owned if self._begun else True

    @invariant()
    def money_adds_up(self) -> None:
        """No job is charged twice, and no more comes back than was paid."""
        if self._begun:
            ledger = self.fake.ledger_of(KEY)
            assert ledger.refunded <= ledger.charged
            assert not charged_twice(ledger)
            refunds = [entry.job_id for entry in ledger.entries if entry.amount < 0]
            assert all(self.fake.jobs[job_id].state is State.FAILED for job_id in refunds)

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        """A job that has ended enters no further state."""
        if self._begun:
            assert not gone_on(self.fake.journal)

    @invariant()
    def news_is_told_once(self) -> None:
        """Nobody is told the same news twice, and what callbacks tell of our jobs is so."""
        if self._begun:
            assert len(set(self.told)) == len(self.told)
            for job_id, state in self.told:
                if job_id in self.fake.jobs and state in TERMINAL:
                    assert self.fake.jobs[job_id].state is state

    @invariant()
    def secrets_stay_secret(self) -> None:
        """No error, no entry of the journal has a key in it."""
        if self._begun:
            texts = [f"{error} {error!r} {vars(error)!r}" for error in self.errors]
            texts += [repr(entry) for entry in self.fake.journal]
            assert not any(secret in text for text in texts for secret in (KEY, SECRET))

    def teardown(self) -> None:
        """Tell what happened, which is shown when it has failed, and count the faults that struck."""
        if self._begun:
            note(f"{self.provider}, from the fake's journal:\n{self.fake.journal.timeline()}")
            for entry in self.fake.journal.faults:
                REACHED[self.provider, entry.fault, entry.on] += 1
            self.http.close()

    # --- how it is done ---

    @property
    def _begun(self) -> bool:
        return hasattr(self, "fake")

    def _charges(self) -> list[str]:
        return [entry.job_id for entry in self.fake.ledger_of(KEY).entries if entry.amount > 0]

    @contextmanager
    def _calling(self, seconds: float) -> Iterator[None]:
        """Call the client: it is done in time, and asks for nothing that it was asked to wait for."""
        self.wire.quiet_until.clear()
        began = self.fake.clock.now()
        yield
        took = self.fake.clock.now() - began
        # one read of an answer that comes in pieces may be under way at the deadline: it takes no longer than the whole
        assert took <= seconds + min(30, seconds) + 1, f"a call that should take {seconds} s took {took:.1f} s"
        assert not self.wire.too_soon, self.wire.too_soon

    @contextmanager
    def _errors_allowed(self, *kinds: type[ClientError]) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            self.errors.append(error)

    @contextmanager
    def _ends_allowed(self) -> Iterator[None]:
        """Let a wait end as a job ends, or by its deadline: what passes is no reason to give up."""
        job = None
        try:
            yield
        except (JobEnded, WaitTimeout) as error:
            self.errors.append(error)
            job = error.job
        if job is not None:
            self._look_at(job)

    def _look_at(self, job: Job) -> None:
        """Compare what a client has seen of a job with what the fake knows of it, and with what it saw before."""
        record, before = self.fake.jobs[job.id], self.seen.get(job.id)
        if job.terminal:
            assert job.state is record.state
        if before is not None and before.terminal:
            assert job.state is before.state
        self.seen[job.id] = job

    def _deliver(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        """Bring a callback to the inbox, which runs without an event loop: nothing in it waits."""
        assert self.inbox is not None  # or there were no callbacks
        if self.deaf:
            done(503, "")
            return
        status = drive(self.inbox, delivery)
        if self.signed and is_whole(delivery):
            assert (status == 401) == (not is_genuine(delivery, self.fake.clock.now())), delivery
        done(status, "")


def is_whole(delivery: Delivery) -> bool:
    """Say whether a callback of Kie is one that can be read."""
    try:
        return "taskId" in json.loads(delivery.body)["data"]
    except ValueError:
        return False


def is_genuine(delivery: Delivery, now: float) -> bool:
    """Check a callback as Kie's documentation says: HMAC-SHA256 over the id and the timestamp, in base64."""
    headers = {name.lower(): value for name, value in delivery.headers}
    stamp = headers["x-webhook-timestamp"]
    message = f"{json.loads(delivery.body)['data']['taskId']}.{stamp}".encode()
    right = base64.b64encode(hmac.new(SECRET.encode(), message, "sha256").digest()).decode()
    return headers["x-webhook-signature"] == right and abs(now - int(stamp)) <= 300


def drive(app: Any, delivery: Delivery) -> int:
    """Post a callback to an ASGI application that waits for nothing, and return the status of its answer."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/hook",
        "headers": [(name.lower().encode(), value.encode()) for name, value in delivery.headers],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": delivery.body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        app(scope, receive, send).send(None)
    except StopIteration:
        return int(sent[0]["status"])
    raise AssertionError("the application waits for something")
