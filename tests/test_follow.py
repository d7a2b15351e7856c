"""Tests of waits that are told: by a callback in an inbox, and by a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clients
from tests.clients import CASES, Driver, pair
from tests.player import HTML, NOW, RESET, Player, reply, told
from tests.small import PATHS, small
from tests.test_inbox import URL, open_box, post, reader, word
from understudy import (
    AsyncClient,
    Client,
    ClientError,
    Fake,
    Inbox,
    Job,
    JobFailed,
    OutcomeUnknown,
    ProviderError,
    State,
    Step,
    UnreadableReply,
    VirtualClock,
    WaitTimeout,
    serve,
)
from understudy.clock import EPOCH_SECONDS
from understudy.fake import API_KEY
from understudy.waits import GLANCE_SECONDS, SILENCE_SECONDS

kind = clients.kind
OXEN = CASES["oxen"].job


def asked(fake: Fake) -> list[str | None]:
    """Return the operations that were asked for, in order."""
    return [exchange.operation for exchange in fake.journal.exchanges]


# By an inbox


def boxed(kind: Any, *faults: str) -> tuple[Driver, Fake, Inbox]:
    """Return a client, a fake that calls back, and the inbox that it calls."""
    clock = VirtualClock()
    box = Inbox(reader(clock=clock))
    fake = Fake("kie", clock=clock, callback_app=box)
    for fault in faults:
        fake.fault(fault, times=None)
    return Driver(kind, "kie", fake.transport(), clock), fake, box


def test_a_callback_has_the_provider_asked_at_once(kind: Any) -> None:
    """A wait with an inbox asks nothing until the callback comes, then once and at once, and has the whole job."""
    client, fake, box = boxed(kind)
    with fake:
        fake.next_job(timeline=[Step(State.RUNNING, seconds=40), Step(State.SUCCEEDED)])
        job = client.submit(**CASES["kie"].job, callback_url=URL)
        done = client.wait(job, inbox=box)
    assert (done.id, done.state, len(done.outputs)) == (job.id, State.SUCCEEDED, 1)
    (attempt,) = fake.journal.attempts
    _, read = fake.journal.exchanges
    assert read.at - attempt.at <= GLANCE_SECONDS + 1


def test_a_callback_that_came_before_counts(kind: Any) -> None:
    """A job whose end is in the inbox before anybody waits is asked for at once."""
    client, fake, box = boxed(kind)
    with fake:
        job = client.submit(**CASES["kie"].job, callback_url=URL)
        fake.clock.sleep(50)
        began = fake.clock.now()
        assert client.wait(job, inbox=box).state is State.SUCCEEDED
    assert fake.clock.now() - began < 1
    assert asked(fake) == ["createTask", "recordInfo"]


@pytest.mark.parametrize("fault", ["callback-lost", "callback-other-job", "callback-truncated"])
def test_a_callback_that_does_not_come_costs_only_time(kind: Any, fault: str) -> None:
    """Where no callback tells of the job, it is asked for after the silence, and from then on at the usual pace."""
    client, fake, box = boxed(kind, fault)
    with fake:
        fake.next_job(timeline=[Step(State.RUNNING, seconds=75), Step(State.SUCCEEDED)])
        job = client.submit(**CASES["kie"].job, callback_url=URL)
        began = fake.clock.now()
        assert client.wait(job, inbox=box).state is State.SUCCEEDED
    sent = [exchange.at - began for exchange in fake.journal.exchanges[1:]]
    assert sent == pytest.approx([60.5, 71, 81.5])


def test_a_forged_callback_is_not_believed(kind: Any, tmp_path: Path) -> None:
    """A callback that claims an end has the provider asked; what the provider says counts, at the usual pace."""
    box = open_box(tmp_path)
    client, fake = pair(kind, "small", paths=[tmp_path])
    began, job = fake.clock.now(), client.submit({"prompt": "x"})
    post(box, word(State.FAILED, job.id))
    assert client.wait(job, inbox=box).state is State.SUCCEEDED
    assert fake.clock.now() - began == 6
    assert asked(fake)[1:] == ["getJob"] * 4


def test_a_hint_breaks_no_silence_that_was_asked_for(tmp_path: Path) -> None:
    """A callback that comes while a Retry-After runs has nothing asked before that has passed."""
    box, clock, times = open_box(tmp_path), VirtualClock(), []

    def answer(request: httpx.Request) -> httpx.Response:
        times.append(clock.now())
        if len(times) == 1:
            post(box, word(State.SUCCEEDED))
            return httpx.Response(429, headers={"retry-after": "50"})
        return httpx.Response(200, json={"id": "j", "state": "succeeded"})

    client = Driver(Client, "small", httpx.MockTransport(answer), clock, paths=[tmp_path])
    began = clock.now()
    assert client.wait(Job(id="j"), inbox=box).state is State.SUCCEEDED
    assert times == [began + SILENCE_SECONDS, began + SILENCE_SECONDS + 50]


@given(st.floats(0, 300), st.sampled_from([reply(HTML, 500), reply(HTML, 429, retry_after="70"), RESET]))
def test_a_wait_with_an_inbox_ends_at_its_deadline(box: Inbox, seconds: float, bad: Any) -> None:
    """Whether or not anything is heard, and whatever is answered, the wait ends at its deadline."""
    player = Player()
    with pytest.raises(WaitTimeout):
        player.wait(bad, told("kie", "waiting"), seconds=seconds, inbox=box)
    assert player.now == NOW + seconds
    assert all(at >= SILENCE_SECONDS for at in player.times)


@pytest.fixture(scope="module")
def box() -> Inbox:
    """An inbox in which nothing comes in."""
    return Inbox(reader())


# By a stream


def test_a_job_is_followed(kind: Any) -> None:
    """A job is followed by its stream: one look after it was opened, and no poll until the event of its end."""
    client, fake = pair(kind, "oxen")
    fake.next_job(timeline=[Step(State.RUNNING, seconds=300), Step(State.SUCCEEDED)])
    job = client.submit(**OXEN)
    fake.next_job(timeline=[Step(State.RUNNING, seconds=20), Step(State.SUCCEEDED)])
    short = client.submit(**OXEN)
    assert client.follow(short).outputs
    assert asked(fake)[2:] == ["events", "getGeneration"]
    assert client.follow(job).id == job.id
    assert next(iter(fake.provider.accounts.values())).streams == []


def test_a_job_that_has_ended_is_not_waited_for(kind: Any) -> None:
    """A job that ended before the stream was opened is found by the look; one known to have ended needs none."""
    client, fake = pair(kind, "oxen")
    job = client.submit(**OXEN)
    fake.clock.advance(100)
    began = fake.clock.now()
    done = client.follow(job)
    assert (done.state, fake.clock.now() - began < 1) == (State.SUCCEEDED, True)
    sent = len(fake.journal.exchanges)
    assert client.follow(done) is done
    assert len(fake.journal.exchanges) == sent


def test_a_followed_job_that_fails_says_why(kind: Any) -> None:
    """A job that fails while it is followed raises JobFailed with the reason that the event has."""
    client, fake = pair(kind, "oxen")
    fake.next_job(failure="content-policy")
    with pytest.raises(JobFailed, match="Green net check failed"):
        client.follow(client.submit(**OXEN))


def test_a_provider_without_a_stream_is_polled(kind: Any) -> None:
    """Where there is no stream, following is waiting."""
    client, fake = pair(kind, "kie")
    assert client.follow(client.submit(**CASES["kie"].job)).state is State.SUCCEEDED
    assert set(asked(fake)[1:]) == {"recordInfo"}


@pytest.mark.parametrize("fault", ["stream-drops", "stream-ends", "stream-silent", "stream-strangers"])
def test_a_stream_that_fails_gives_way_to_polls(kind: Any, fault: str) -> None:
    """A stream that breaks, ends, says nothing, or tells of others, loses no job: in the end it is polled for."""
    client, fake = pair(kind, "oxen")
    fake.fault(fault, times=None)
    assert client.follow(client.submit(**OXEN)).state is State.SUCCEEDED
    assert fake.clock.now() - EPOCH_SECONDS < SILENCE_SECONDS + 20


@pytest.mark.parametrize("fault", ["error", "outage"])
def test_a_stream_that_does_not_open_gives_way_to_polls(kind: Any, fault: str) -> None:
    """A stream that is refused, or cannot be reached, is not waited for."""
    client, fake = pair(kind, "oxen")
    job = client.submit(**OXEN)
    fake.fault(fault, on="events")
    assert client.follow(job).state is State.SUCCEEDED


def test_a_refused_stream_is_obeyed(kind: Any) -> None:
    """A stream that is refused with a Retry-After has the job asked for only when that has passed."""
    client, fake = pair(kind, "oxen")
    job = client.submit(**OXEN)
    fake.fault("error", on="events", error="rateLimited", retry_after_seconds=45)
    client.follow(job)
    (_, stream, read) = fake.journal.exchanges
    assert read.at - stream.at >= 45


def test_a_lost_stream_breaks_no_silence_that_was_asked_for(kind: Any) -> None:
    """Where the look was refused with a Retry-After, the polls that follow a lost stream begin after it."""
    client, fake = pair(kind, "oxen")
    job = client.submit(**OXEN)
    fake.fault("error", on="status", error="rateLimited", retry_after_seconds=100)
    fake.fault("stream-drops")
    client.follow(job)
    (_, _, look, poll) = fake.journal.exchanges
    assert poll.at - look.at >= 100


@pytest.mark.parametrize("seconds", [0, 1, 10, 20, 40, 75, 130, 600])
@pytest.mark.parametrize("others", [0, 7, 31])
def test_following_ends_at_its_deadline(kind: Any, seconds: float, others: float) -> None:
    """A job that never ends is followed until the deadline exactly, whatever events of others there are meanwhile."""
    client, fake = pair(kind, "oxen", scenario="stuck-in-queue")
    job = client.submit(**OXEN)

    def other() -> None:
        fake.next_job(state=State.SUCCEEDED)
        fake.client().post("/api/ai/queue", json={"model": "nano-banana", "prompt": "another"})

    began = fake.clock.now()
    if others:
        for number in range(1, int(seconds / others)):
            fake.clock.call_at(began + others * number, other)
    with pytest.raises(WaitTimeout):
        client.follow(job, timeout_seconds=seconds)
    assert fake.clock.now() - began == pytest.approx(seconds, abs=0.5)


def streamed(root: Path, keep_alive: Any = None) -> Path:
    """Write a provider that streams the events of one job, of which the last does not say what came of it."""
    data = {"id": "$job.id", "state": "$job.status"}
    events = {
        "operation": "listenToOne",
        "scope": "job",
        "id": "$request.path.id",
        "frames": {state: [{"event": "now", "data": data}] for state in ("running", "succeeded")},
        "end": ["succeeded"],
        **({"keepAlive": keep_alive} if keep_alive else {}),
    }
    parameters = PATHS["/jobs/{id}"]["parameters"]
    paths = {**PATHS, "/jobs/{id}/events": {"parameters": parameters, "get": {"operationId": "listenToOne"}}}
    return small(root, paths=paths, events=events)


@pytest.mark.parametrize("keep_alive", [None, {"everySeconds": 15}])
def test_events_of_the_job_keep_a_stream_alive(kind: Any, tmp_path: Path, keep_alive: Any) -> None:
    """An event of the job begins the silence anew; and an end that does not say what came of it is asked for."""
    client, fake = pair(kind, "small", paths=[streamed(tmp_path, keep_alive)])
    fake.next_job(
        timeline=[
            Step(State.QUEUED, seconds=50),
            Step(State.RUNNING, seconds=50),
            Step(State.RUNNING, seconds=50),
            Step(State.SUCCEEDED),
        ]
    )
    done = client.follow(client.submit({"prompt": "x"}))
    assert (done.state, len(done.outputs)) == (State.SUCCEEDED, 1)
    assert asked(fake)[1:] == ["listenToOne", "getJob", "getJob"]


def test_keep_alives_keep_no_silent_stream_alive(kind: Any, tmp_path: Path) -> None:
    """A stream with nothing but keep-alives is given up after the silence, and the job is polled for."""
    client, fake = pair(kind, "small", paths=[streamed(tmp_path, {"everySeconds": 15})])
    fake.next_job(timeline=[Step(State.QUEUED, seconds=90), Step(State.SUCCEEDED)])
    job = client.submit({"prompt": "x"})
    began = fake.clock.now()
    client.follow(job)
    polls = [exchange.at - began for exchange in fake.journal.exchanges if exchange.operation == "getJob"]
    assert polls[0] == 0
    assert SILENCE_SECONDS <= polls[1] <= SILENCE_SECONDS + 15 + 2


@pytest.mark.parametrize(
    "piece", [b": keep-alive\n\n", b"x", b'event: other\ndata: {"id": "j", "state": "running"}\n\n']
)
def test_a_stream_that_never_ends_is_left(kind: Any, tmp_path: Path, piece: bytes) -> None:
    """A stream that always has something to say, be it never a whole line, holds nobody beyond the deadline."""
    clock = VirtualClock()

    class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Any:
            while True:
                clock.advance(5)
                yield piece

        async def __aiter__(self) -> Any:
            for one in self:
                yield one

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Endless())
        return httpx.Response(200, json={"id": "j", "state": "running"})

    streamed(tmp_path)
    client = Driver(kind, "small", httpx.MockTransport(answer), clock, paths=[tmp_path])
    began = clock.now()
    with pytest.raises(WaitTimeout):
        client.follow(Job(id="j"), timeout_seconds=100)
    assert clock.now() - began == 100


def test_a_look_that_fails_gives_way_to_polls(kind: Any, tmp_path: Path) -> None:
    """A look that is refused for good ends the following as it ends a wait."""
    client, _ = pair(kind, "oxen")
    with pytest.raises(ProviderError) as caught:
        client.follow(Job(id="0" * 36))
    assert caught.value.name == "notFound"


def test_a_clock_in_other_hands_keeps_nothing_of_a_stream(tmp_path: Path) -> None:
    """What listening has on the agenda is gone when it is over, even if the clock was just about to do it."""
    from understudy.listening import Listening

    clock = VirtualClock()
    waiting = Player().flows.waiting(Job(id="j"), timeout_seconds=60, now=clock.now)
    with Listening(waiting, clock) as ear:
        pass
    ear._tick()
    assert clock.next_due() is None


def test_a_job_is_followed_over_sockets(kind: Any) -> None:
    """Over real sockets a job is followed by the stream of a live server."""
    with serve("oxen", speed=20) as server:
        api: dict[str, Any] = {"api_key": API_KEY, "base_url": server.url_of("oxen"), "clock": server.clock}

        async def follow() -> Job:
            async with httpx.AsyncClient(trust_env=False) as http:
                client = AsyncClient("oxen", http=http, **api)
                return await client.follow(await client.submit(**OXEN))

        if kind is Client:
            with httpx.Client(trust_env=False) as http:
                client = Client("oxen", http=http, **api)
                done = client.follow(client.submit(**OXEN))
        else:
            done = asyncio.run(follow())
        assert (done.state, len(done.outputs)) == (State.SUCCEEDED, 1)
        operations = [exchange.operation for exchange in server.provider("oxen").journal.exchanges]
        assert operations == ["enqueue", "events", "getGeneration"]


# What takes for ever


@pytest.mark.parametrize("provider", ["kie", "oxen"])
def test_an_answer_that_dribbles_holds_no_wait(kind: Any, provider: str) -> None:
    """A status that comes a few bytes at a time is left when its time is over: the wait ends at its deadline."""
    client, fake = pair(kind, provider)
    job = client.submit(**CASES[provider].job)
    fake.fault("dribble", on="status", times=None)
    began = fake.clock.now()
    with pytest.raises(WaitTimeout):
        client.wait(job, timeout_seconds=100)
    assert 100 <= fake.clock.now() - began <= 100 + 5


def test_a_create_that_dribbles_is_unknown(kind: Any) -> None:
    """A create whose answer does not come to its end has an unknown outcome, and is sent once."""
    client, fake = pair(kind, "kie")
    fake.fault("dribble", on="create", times=None, chunk_bytes=1)
    with pytest.raises(OutcomeUnknown, match="it was not whole after 30 seconds"):
        client.submit(**CASES["kie"].job)
    assert asked(fake) == ["createTask"]


def test_a_file_that_dribbles_is_left(kind: Any) -> None:
    """A result file that comes a few bytes at a time is not waited for beyond the bound."""
    client, fake = pair(kind, "kie")
    done = client.run(**CASES["kie"].job)
    fake.fault("dribble", on="assets")
    began = fake.clock.now()
    with pytest.raises(UnreadableReply, match="it was not whole after 600 seconds"):
        client.download(done.outputs[0])
    assert fake.clock.now() - began <= 600 + 6


Secret = Callable[[str], Any]


@pytest.mark.parametrize(
    "answer",
    [
        lambda key: {"code": 401, "msg": f"{key} is no key"},
        lambda key: {"code": 200, "data": {"taskId": "t", "state": "fail", "failCode": "1", "failMsg": f"of {key}"}},
        lambda key: {"code": 200, "data": {"taskId": "t", "state": [key]}},
        lambda key: {"code": 200, "data": {"taskId": {"a": key}, "state": "success"}},
    ],
    ids=["refused", "failed", "strange state", "strange id"],
)
def test_no_error_of_a_wait_shows_the_key(kind: Any, answer: Secret) -> None:
    """Whatever a provider does with the key, the errors of the client do not show it."""
    key = "sk-0123456789"
    client = clients.scripted(kind, lambda request: httpx.Response(200, json=answer(key)), api_key=key)
    with pytest.raises(ClientError) as caught:
        client.wait(Job(id="t"), timeout_seconds=1)
    assert key not in f"{caught.value!s} {caught.value!r} {caught.value.provider_message} {caught.value.job}"
    assert key not in str(caught.value.__cause__)
