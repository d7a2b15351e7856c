"""Tests of how jobs go along their timelines, and of what follows from each move."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import signing
from tests.small import JOB, small
from understudy.callback import Delivery
from understudy.clock import EPOCH_SECONDS, VirtualClock
from understudy.errors import SignatureInvalid
from understudy.folders import find_provider
from understudy.journal import Attempt, Transition
from understudy.ledger import Movement
from understudy.library import load_provider
from understudy.lifecycle import TERMINAL, TRANSITIONS, State, Step
from understudy.plan import Plan
from understudy.provider import Provider
from understudy.reach import NOT_SENT, shown_url
from understudy.stage import frames_of
from understudy.trouble import fault_rule
from understudy.wire import Reply, Request, Stream

Answer = Callable[[Delivery], "int | None"]


class Theatre:
    """A small provider whose callbacks are answered by the test; times are seconds since the beginning."""

    def __init__(self, root: Path, answer: Answer = lambda delivery: 200, **options: Any) -> None:
        self.clock = VirtualClock()
        self.sent: list[tuple[float, Delivery]] = []
        self._answer = answer
        contract, behaviour = load_provider(find_provider("small", [root]))
        self.provider = Provider(contract, behaviour, clock=self.clock, send=self._send, **options)

    def _send(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        self.sent.append((self.clock.now() - EPOCH_SECONDS, delivery))
        status = self._answer(delivery)
        done(status, "" if status is not None else "no answer: ConnectError")

    def create(self, *steps: Step, callback: str | None = "http://127.0.0.1/hook", **plan: Any) -> str:
        """Make a job that goes through these steps, or the usual ones."""
        self.provider.plan_next(Plan(timeline=steps or None, **plan))
        body = {"prompt": "a", **({"callback": callback} if callback else {})}
        reply = self.call("POST", "/jobs", body)
        return str(json.loads(reply.body)["id"])

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.provider.handle(Request(method, path, "", [("content-type", "application/json")], content))
        assert isinstance(reply, Reply)
        return reply

    def read(self, job: str) -> Any:
        return json.loads(self.call("GET", f"/jobs/{job}").body)

    @property
    def told(self) -> list[tuple[float, str]]:
        """What the receiver was told: when, and which state."""
        return [(when, json.loads(delivery.body)["state"]) for when, delivery in self.sent]


def callback(**parts: Any) -> dict[str, Any]:
    view = {"body": {"id": "$job.id", "state": "$job.status", "event": "$event.name"}}
    return {"trigger": ["succeeded", "failed"], "view": view, **parts}


EVERY_STATE = [state.value for state in State]
AT_ONCE = Step(State.SUCCEEDED)


@pytest.mark.parametrize("kind", sorted(signing.KINDS))
def test_only_a_forged_callback_has_a_wrong_signature(tmp_path: Path, kind: str) -> None:
    """A callback is signed with the stand-in's secrets, unless a fault forges it."""
    theatre = Theatre(signing.provider(tmp_path, signing.KINDS[kind]))
    theatre.provider.arm(fault_rule("callback-wrong-signature", None, {}))
    for _ in range(2):
        theatre.create(AT_ONCE)
        theatre.clock.advance(1)
    assert [attempt.signed for attempt in theatre.provider.journal.attempts] == [True, True]
    for delivery, forged in zip((delivery for _, delivery in theatre.sent), (True, False), strict=True):
        headers = {name.lower(): value for name, value in delivery.headers}
        with pytest.raises(SignatureInvalid) if forged else contextlib.nullcontext():
            signing.verified(kind, headers, delivery.body, now=theatre.clock.now())


def test_money_moves_when_the_job_does(tmp_path: Path) -> None:
    """A job is charged at its create and paid back at its failure, and the ledger has both with their times."""
    failures = {"broken": {"message": "sorry", "refund": "full"}}
    theatre = Theatre(small(tmp_path, failures=failures, prices={"rules": [{"amount": 3}]}), balance=10)
    steps = (Step(State.RUNNING, seconds=7), Step(State.FAILED))
    job = theatre.create(*steps, failure="broken", callback=None)
    theatre.clock.advance(7)
    (account,) = theatre.provider.accounts.values()
    began = EPOCH_SECONDS
    assert list(account.ledger.entries) == [Movement(began, job, 3, 7), Movement(began + 7, job, -3, 10)]
    assert (theatre.read(job)["state"], theatre.read(job)["spent"]) == ("failed", 0)


# Timelines


def test_a_job_goes_along_its_timeline(tmp_path: Path) -> None:
    """Each step begins when the one before it has lasted its time, and the last one lasts for ever."""
    theatre = Theatre(small(tmp_path))
    theatre.create()
    theatre.clock.advance(10**6)
    assert [(entry.at - EPOCH_SECONDS, entry.state) for entry in theatre.provider.journal.transitions] == [
        (0, State.QUEUED),
        (2, State.RUNNING),
        (5, State.SUCCEEDED),
    ]


@pytest.mark.parametrize("reads", [1, 3])
def test_so_many_reads_show_a_step(tmp_path: Path, reads: int) -> None:
    """A step that lasts n reads is shown by n status reads, whatever the time, and the next read shows the next."""
    theatre = Theatre(small(tmp_path))
    job = theatre.create(Step(State.QUEUED, reads=reads), Step(State.RUNNING, reads=1), AT_ONCE)
    theatre.clock.advance(1000)
    assert [theatre.read(job)["state"] for _ in range(reads + 2)] == [*["queued"] * reads, "running", "succeeded"]


def test_reads_and_seconds_mix(tmp_path: Path) -> None:
    """After a step by reads a step by seconds lasts from the read on."""
    theatre = Theatre(small(tmp_path))
    job = theatre.create(Step(State.QUEUED, reads=1), Step(State.RUNNING, seconds=5, progress=0.5), AT_ONCE)
    theatre.clock.advance(100)
    theatre.read(job)
    theatre.clock.advance(4)
    assert theatre.read(job)["state"] == "running"
    assert theatre.provider.plays[job].job.progress == 0.5
    theatre.clock.advance(1)
    assert theatre.read(job)["state"] == "succeeded"


@st.composite
def timelines(draw) -> tuple[Step, ...]:
    """Return any timeline that a job can go through."""
    steps, state = [], State.QUEUED
    for _ in range(draw(st.integers(0, 4))):
        state = draw(st.sampled_from(sorted(TRANSITIONS[state] - TERMINAL)))
        by_reads = draw(st.booleans())
        length = draw(st.integers(1, 3))
        steps.append(Step(state, reads=length) if by_reads else Step(state, seconds=length))
    return (*steps, Step(draw(st.sampled_from(sorted(TRANSITIONS[state])))))


@given(timelines(), st.lists(st.sampled_from(["read", "wait", "cancel"])))
def test_what_has_ended_never_changes(folder: Path, timeline: tuple[Step, ...], moves: list[str]) -> None:
    """Whatever the timeline and whatever the client does, a job goes only where it may, and stays where it ended."""
    theatre = Theatre(folder)
    job = theatre.create(*timeline)
    play, end = theatre.provider.plays[job], None
    for move in [*moves, "wait", "read"]:
        if move == "wait":
            theatre.clock.advance(2)
        theatre.call("DELETE" if move == "cancel" else "GET", f"/jobs/{job}")
        if play.job.terminal:
            end = end or theatre.read(job)
            assert theatre.read(job) == end
    theatre.clock.advance(0)
    states = [entry.state for entry in theatre.provider.journal.transitions]
    assert all(after in TRANSITIONS[before] for before, after in pairwise(states))
    ended = play.job.terminal
    assert sum(state in TERMINAL for state in states) == ended
    assert theatre.provider.accounts["anonymous"].active == (not ended)
    assert len(theatre.sent) == (states[-1] in (State.SUCCEEDED, State.FAILED))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a small provider that calls back when a job has succeeded or failed."""
    return small(tmp_path_factory.mktemp("small"), callback=callback())


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_job_can_be_cancelled_at_any_time(tmp_path: Path, after: float) -> None:
    """A cancelled job stays cancelled, and what its timeline had still planned does not happen."""
    theatre = Theatre(small(tmp_path, callback=callback(trigger=EVERY_STATE)))
    job = theatre.create()
    theatre.clock.advance(after)
    assert json.loads(theatre.call("DELETE", f"/jobs/{job}").body)["state"] == "cancelled"
    theatre.clock.advance(100)
    assert theatre.read(job)["state"] == "cancelled"
    assert theatre.told[-1] == (after, "cancelled")


def cancelled(theatre: Theatre, job: str) -> None:
    theatre.call("DELETE", f"/jobs/{job}")


def forgotten(theatre: Theatre, job: str) -> None:
    theatre.provider.reset()


@pytest.mark.parametrize("leave", [cancelled, forgotten])
def test_what_was_about_to_happen_does_not(tmp_path: Path, leave: Callable[[Theatre, str], None]) -> None:
    """Another thread may be about to move a job when it is cancelled or forgotten; nothing comes of that."""
    theatre = Theatre(small(tmp_path))
    job = theatre.create()
    due = theatre.provider.plays[job].due
    assert due is not None
    _, _, move, *arguments = due
    leave(theatre, job)
    noted = list(theatre.provider.journal)
    move(*arguments)
    assert list(theatre.provider.journal) == noted


# Consequences


def test_what_follows_comes_in_order(tmp_path: Path) -> None:
    """The transition is noted, money is back and subscribers are told before the callback leaves."""
    seen: list[Any] = []

    def answer(delivery: Delivery) -> int:
        assert isinstance(stream, Stream)
        ledger = theatre.provider.accounts["anonymous"].ledger
        seen.append((list(theatre.provider.journal)[-1], ledger.refunded, list(stream.frames)))
        return 200

    theatre = Theatre(
        small(
            tmp_path,
            callback=callback(),
            prices={"rules": [{"amount": 4}]},
            failures={"broken": {"refund": "full", "code": 7, "message": "{$job.id} broke"}},
            events={
                "operation": "listen",
                "scope": "account",
                "frames": {"failed": [{"event": "end", "data": {"id": "$job.id"}}]},
            },
        ),
        answer,
    )
    stream = theatre.provider.handle(Request("GET", "/events"))
    job = theatre.create(failure="broken")
    theatre.clock.advance(5)
    transition = Transition(EPOCH_SECONDS + 5, job, State.FAILED, "failed", State.RUNNING, "broken")
    assert seen == [(transition, 4, [f'event: end\ndata: {{"id":"{job}"}}\n\n'.encode()])]
    assert theatre.read(job)["error"] == {"name": "broken", "code": 7, "message": f"{job} broke"}
    assert [type(entry) for entry in theatre.provider.journal][-3:-1] == [Transition, Attempt]


@pytest.mark.parametrize(
    ("refund", "spent", "refunded"), [("full", 0, True), ("none", 0.7, False), (0.1, 0.63, True), (0, 0.7, False)]
)
def test_a_failure_pays_back_its_share(tmp_path: Path, refund: Any, spent: float, refunded: bool) -> None:
    """Full, none or a part of the cost comes back, exactly, and the job says what it cost in the end."""
    failures = {"broken": {"refund": refund}}
    theatre = Theatre(small(tmp_path, failures=failures, prices={"rules": [{"amount": 0.7}]}))
    job = theatre.create(Step(State.FAILED), failure="broken")
    assert theatre.read(job)["spent"] == spent
    assert theatre.provider.accounts["anonymous"].ledger.spent == spent
    assert theatre.provider.plays[job].job.refunded is refunded


@pytest.mark.parametrize(("refund", "spent"), [({"refund": "full"}, 0), ({"refund": 0.5}, 0.35), ({}, 0.7)])
def test_a_cancel_pays_back_its_share(tmp_path: Path, refund: Any, spent: float) -> None:
    """What comes back of the cost of a job that is stopped is as the contract says, and nothing where it does not."""
    cancel = {**JOB["cancel"], **refund}
    theatre = Theatre(small(tmp_path, cancel=cancel, prices={"rules": [{"amount": 0.7}]}))
    job = theatre.create(Step(State.QUEUED))
    theatre.provider.handle(Request("DELETE", f"/jobs/{job}"))
    assert (theatre.read(job)["state"], theatre.read(job)["spent"]) == ("cancelled", spent)
    assert theatre.provider.accounts["anonymous"].ledger.spent == spent
    assert theatre.provider.plays[job].job.refunded is bool(refund)


def test_a_failure_without_a_name_has_a_text(tmp_path: Path) -> None:
    """A job that fails for no named reason says so, or says what the plan says, and nothing comes back."""
    theatre = Theatre(small(tmp_path, prices={"rules": [{"amount": 1}]}))
    assert theatre.read(theatre.create(Step(State.FAILED)))["error"]["message"] == "the job failed"
    assert theatre.read(theatre.create(Step(State.FAILED), message="so"))["error"]["message"] == "so"
    assert theatre.provider.accounts["anonymous"].ledger.refunded == 0


def test_a_job_without_links_or_results_ends_all_the_same(tmp_path: Path) -> None:
    """A contract may promise no links, or no result at all; the pictures are there for whoever sends their bytes."""
    for name, parts in (("links", {"assets": None}), ("results", {"assets": None, "outputs": None})):
        theatre = Theatre(small(tmp_path / name, **parts))
        job = theatre.create(AT_ONCE)
        assert theatre.read(job)["result"] == ([None] if name == "links" else None)
        assert [output.media_type for output in theatre.provider.plays[job].job.outputs] == ["image/png"]


# Subscribers


def test_a_stream_hears_of_its_own_jobs_only(tmp_path: Path) -> None:
    """A stream of one job hears of that job until it ends; a text is sent as it is; a closed one hears nothing."""
    paths = {
        "/jobs/{id}/events": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "follow"},
        }
    }
    frame = {"event": "state", "data": "{$job.status}\nof {$job.id}"}
    events = {
        "operation": "follow",
        "scope": "job",
        "id": "$request.path.id",
        "frames": {"running": [frame, frame], "succeeded": [frame]},
        "end": ["succeeded"],
    }
    theatre = Theatre(small(tmp_path, paths=paths, events=events))
    first, second = theatre.create(), theatre.create()
    streams = [theatre.provider.handle(Request("GET", f"/jobs/{job}/events")) for job in (first, second, second)]
    heard, other, closed = (stream for stream in streams if isinstance(stream, Stream))
    closed.close()
    closed.close()
    theatre.clock.advance(2)
    assert list(heard.frames) == [f"event: state\ndata: running\ndata: of {first}\n\n".encode()] * 2
    assert not heard.ended
    theatre.call("DELETE", f"/jobs/{second}")
    theatre.clock.advance(3)
    assert (len(heard.frames), heard.ended) == (3, True)
    assert (len(other.frames), other.ended) == (2, False)
    assert (len(closed.frames), closed.ended) == (0, False)
    late = theatre.provider.handle(Request("GET", f"/jobs/{first}/events"))
    assert isinstance(late, Stream)
    assert (list(late.frames), late.ended) == ([], True)


def test_a_state_without_frames_tells_nothing(tmp_path: Path) -> None:
    """Of a state that the contract gives no frames nothing is sent, and the stream of an account has no end."""
    events = {"operation": "listen", "scope": "account", "frames": {}, "end": ["queued"]}
    theatre = Theatre(small(tmp_path, events=events))
    stream = theatre.provider.handle(Request("GET", "/events"))
    play = theatre.provider.plays[theatre.create()]
    assert isinstance(stream, Stream)
    assert (list(stream.frames), stream.ended) == ([], False)
    part = play.job_type.events
    assert part is not None
    assert frames_of(part, play) == []


# Callbacks


def test_a_callback_is_sent_when_the_contract_says(tmp_path: Path) -> None:
    """Only the states of the trigger call back, each with the name of its event, and only where there is a URL."""
    theatre = Theatre(small(tmp_path, callback=callback(trigger={"running": "job.started", "succeeded": "job.done"})))
    theatre.create()
    theatre.create(callback=None)
    theatre.clock.advance(100)
    assert theatre.told == [(2, "running"), (5, "succeeded")]
    assert [json.loads(delivery.body)["event"] for _, delivery in theatre.sent] == ["job.started", "job.done"]
    assert [delivery.id for _, delivery in theatre.sent] == ["delivery-1", "delivery-2"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (["done"], ["succeeded"]),
        (["begun", "done", "other"], ["running", "succeeded"]),
        ([], []),
        (None, ["running", "succeeded"]),
        ("done", ["running", "succeeded"]),
    ],
)
def test_a_create_may_say_which_events_it_wants(tmp_path: Path, wanted: Any, told: list[str]) -> None:
    """Events that are not in the list of the request are not sent; without a list all of them are."""
    trigger = {"running": "begun", "succeeded": "done"}
    theatre = Theatre(small(tmp_path, callback=callback(trigger=trigger, only="$request.body#/events")))
    theatre.call("POST", "/jobs", {"prompt": "a", "callback": "http://127.0.0.1/hook", "events": wanted})
    theatre.clock.advance(100)
    assert [state for _, state in theatre.told] == told


@pytest.mark.parametrize("after", [[], [0], [60, 300, 900], [5, 0, 5, 1]])
@given(answers=st.lists(st.sampled_from([200, 204, 199, 300, 404, 500, None]), max_size=6))
def test_retries_come_when_the_contract_says(tmp_path_factory, after: list[int], answers: list[int | None]) -> None:
    """After a failed attempt the next comes exactly as much later as its retry says, and none after a delivery."""
    root = tmp_path_factory.getbasetemp() / f"after-{after}"
    if not root.exists():
        small(root, callback=callback(**({"retry": {"afterSeconds": after}} if after else {})))
    replies = iter(answers)
    theatre = Theatre(root, lambda delivery: next(replies, 200))
    theatre.create(AT_ONCE)
    theatre.clock.advance(10_000)
    received = [*answers, 200]
    attempts = next((index for index, status in enumerate(received) if status in (200, 204)), len(received)) + 1
    expected = [sum(after[:index]) for index in range(min(attempts, len(after) + 1))]
    assert [when for when, _ in theatre.sent] == expected
    assert [delivery.attempt for _, delivery in theatre.sent] == list(range(1, len(expected) + 1))
    noted = theatre.provider.journal.attempts
    assert [(entry.attempt, entry.status, entry.delivered) for entry in noted] == [
        (index + 1, received[index], received[index] in (200, 204)) for index in range(len(expected))
    ]


def test_the_contract_may_say_what_counts_as_delivered(tmp_path: Path) -> None:
    """Where only 200 counts, a 204 is tried again."""
    answers = iter([204, None, 200])
    parts = {"delivered": "$statusCode == 200", "retry": {"afterSeconds": [10, 10, 10]}}
    theatre = Theatre(small(tmp_path, callback=callback(**parts)), lambda _: next(answers))
    theatre.create(AT_ONCE)
    theatre.clock.advance(100)
    assert [when for when, _ in theatre.sent] == [0, 10, 20]


def test_callbacks_of_a_job_come_one_after_another(tmp_path: Path) -> None:
    """The next callback of a job waits until the one before it has been delivered or given up; other jobs do not."""
    answers = {"queued": iter([500, 500, 200]), "running": iter([500, 500, 500])}
    theatre = Theatre(
        small(tmp_path, callback=callback(trigger=EVERY_STATE, retry={"afterSeconds": [10, 10]})),
        lambda delivery: next(answers.get(json.loads(delivery.body)["state"], iter([200]))),
    )
    theatre.create()
    theatre.clock.advance(100)
    assert theatre.told == [
        *[(0, "queued"), (10, "queued"), (20, "queued")],
        *[(20, "running"), (30, "running"), (40, "running")],
        (40, "succeeded"),
    ]


def test_each_attempt_tells_of_the_same_moment_with_a_fresh_signature(tmp_path: Path) -> None:
    """A retry tells the state that fell due, though the job has gone on, and has the time at which it is sent."""
    answers = iter([500, 200])
    parts = {
        "trigger": ["running"],
        "retry": {"afterSeconds": [60]},
        "headers": {"X-Time": "$delivery.timestamp", "X-Attempt": "$delivery.attempt"},
    }
    theatre = Theatre(small(tmp_path, callback=callback(**parts)), lambda _: next(answers))
    theatre.create()
    theatre.clock.advance(100)
    assert theatre.told == [(2, "running"), (62, "running")]
    first, second = (dict(delivery.headers) for _, delivery in theatre.sent)
    assert int(second["X-Time"]) - int(first["X-Time"]) == 60
    assert (first["X-Attempt"], second["X-Attempt"]) == ("1", "2")


def test_what_was_not_sent_is_not_tried_again(tmp_path: Path) -> None:
    """A delivery that may not be sent is noted once, with its reason."""
    theatre = Theatre(small(tmp_path, callback=callback(retry={"afterSeconds": [1, 1]})))
    theatre.provider._back.stage._send = lambda delivery, done: done(None, f"{NOT_SENT}: x")
    theatre.create(AT_ONCE, callback="http://user:word@example.com/hook?key=secret")
    theatre.clock.advance(100)
    url, job = "http://example.com/hook", next(iter(theatre.provider.plays))
    assert theatre.provider.journal.attempts == [Attempt(EPOCH_SECONDS, job, url, 1, None, False, "not sent: x")]


def test_nothing_is_sent_for_a_job_that_was_forgotten(tmp_path: Path) -> None:
    """After a reset neither a callback nor a retry of an old job is sent or noted, not even one under way."""
    theatre = Theatre(small(tmp_path, callback=callback(retry={"afterSeconds": [10]})), lambda _: 500)
    theatre.create(AT_ONCE)
    theatre.clock.advance(5)
    assert len(theatre.sent) == 1
    theatre.provider.reset()
    theatre.clock.advance(100)
    theatre.create(AT_ONCE)
    theatre.provider.reset()
    theatre.clock.advance(100)
    assert len(theatre.sent) == 1

    def reset_meanwhile(delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        theatre.provider.reset()
        done(200, "")

    theatre.provider._back.stage._send = reset_meanwhile
    theatre.create(AT_ONCE)
    theatre.clock.advance(100)
    assert list(theatre.provider.journal) == []


# URLs


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:word@a.test:80/b?key=c", "http://a.test:80/b"),
        ("http://a.test", "http://a.test"),
        ("CALLBACK_URL?key=c", "CALLBACK_URL"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    """User, password and query of a URL are never shown."""
    assert shown_url(url) == shown
