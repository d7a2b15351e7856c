"""Tests of the inbox: what it answers to whatever comes in, what it keeps, and whom it tells."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from tests import clients
from tests.clients import CASES
from tests.player import JSON
from tests.small import VIEW, small
from understudy import (
    AsyncClient,
    Client,
    Fake,
    Inbox,
    Job,
    ProviderError,
    State,
    UsageError,
    VirtualClock,
    inbox,
    serve,
)
from understudy.lifecycle import TERMINAL, TRANSITIONS

kind = clients.kind
SECRET = "understudy-webhook-key"
URL = "http://127.0.0.1:9/callback"


def reader(kind: Any = Client, provider: str = "kie", clock: Any = None, **options: Any) -> Any:
    """Return a client that reads callbacks, and cannot reach anybody."""
    silence = httpx.MockTransport(lambda request: httpx.Response(503))
    http = httpx.Client(transport=silence) if kind is Client else httpx.AsyncClient(transport=silence)
    return kind(provider, api_key="k", http=http, clock=clock or VirtualClock(), **options)


def post(app: Any, body: Any = b"", headers: Any = None, method: str = "POST") -> httpx.Response:
    """Send a request to an ASGI application."""

    async def sent() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            return await http.request(method, "http://inbox/", content=body, headers=headers)

    return asyncio.run(sent())


def called_back(*faults: str, secret: str | None = SECRET, **options: Any) -> tuple[Inbox, Fake]:
    """Return an inbox that has got all the callbacks of one job, and the fake that sent them."""
    clock = VirtualClock()
    box = Inbox(reader(clock=clock), secret=secret, **options)
    fake = Fake("kie", clock=clock, callback_app=box)
    for fault in faults:
        fake.fault(fault, times=None)
    with fake, Client("kie", api_key="k", http=fake.client(), clock=clock) as client:
        client.submit(**CASES["kie"].job, callback_url=URL)
        clock.sleep(3600)
    return box, fake


def open_box(root: Path, **options: Any) -> Inbox:
    """Return an inbox of a provider that calls back in each state, unsigned."""
    callback = {"trigger": [state.value for state in State], "view": VIEW}
    return Inbox(reader(provider="small", paths=[small(root, callback=callback)]), **options)


def word(state: State, job_id: str = "j") -> bytes:
    return json.dumps({"id": job_id, "state": state.value}).encode()


# What it answers


@pytest.mark.parametrize("is_async", [False, True])
def test_a_callback_is_kept_and_told(is_async: bool) -> None:
    """A callback that is signed is answered 200, kept by its id, and told to a function or a coroutine function."""
    heard: list[Job] = []

    async def hear(job: Job) -> None:
        heard.append(job)

    box, fake = called_back(on_job=hear if is_async else heard.append)
    (job_id,) = fake.jobs
    assert {id: job.state for id, job in box.jobs.items()} == {job_id: State.SUCCEEDED}
    assert heard == [box.jobs[job_id]]
    assert [(attempt.status, attempt.delivered) for attempt in fake.journal.attempts] == [(200, True)]


@pytest.mark.parametrize(
    ("fault", "statuses", "kept"),
    [
        ("callback-twice", {200}, 1),
        ("callback-other-job", {200}, 1),
        ("callback-wrong-signature", {401}, 0),
        ("callback-stale", {401}, 0),
        ("callback-truncated", {400}, 0),
    ],
)
def test_what_goes_wrong_with_callbacks(fault: str, statuses: set[int], kept: int) -> None:
    """A callback that comes twice is told once; one that is forged, stale or cut off is refused, and tells nothing."""
    heard: list[Job] = []
    box, fake = called_back(fault, on_job=heard.append)
    assert {attempt.status for attempt in fake.journal.attempts} == statuses
    assert (len(box.jobs), len(heard)) == (kept, kept)


@pytest.mark.parametrize(
    ("body", "method", "status"),
    [
        (b"", "POST", 400),
        (b"no JSON", "POST", 400),
        (b"[]", "POST", 400),
        (b'{"code": 200, "data": {"taskId": "\\ud800", "state": "success"}}', "POST", 400),
        (b'{"code": 200, "data": {"taskId": "", "state": "success"}}', "POST", 400),
        (b'{"code": 200, "msg": "m", "data": {"taskId": "t", "state": "success"}}', "POST", 401),
        (b"x" * (inbox.MAX_BODY_BYTES + 1), "POST", 413),
        (b"", "GET", 405),
        (b"", "PUT", 405),
    ],
    ids=["empty", "text", "list", "half a letter", "no id", "unsigned", "too large", "GET", "PUT"],
)
def test_what_is_no_callback_is_refused(body: bytes, method: str, status: int, kind: Any) -> None:
    """What is no callback is answered by its own status, with nothing in it, whatever client reads it."""
    box = Inbox(reader(kind), secret=SECRET)
    reply = post(box, body, method=method)
    assert (reply.status_code, reply.content, box.jobs) == (status, b"", {})
    assert reply.headers.get("allow") == ("POST" if status == 405 else None)


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    """A body that comes in pieces is refused as soon as it is too large, though nobody said how long it is."""
    pieces = itertools.count()

    async def endless() -> Any:
        for _ in pieces:
            yield b"x" * 65536

    assert post(Inbox(reader()), endless()).status_code == 413
    assert next(pieces) <= inbox.MAX_BODY_BYTES // 65536 + 2


@pytest.mark.parametrize(("more", "status"), [(-1, 400), (0, 400), (1, 413)])
def test_a_body_may_have_a_mebibyte(more: int, status: int) -> None:
    """A body of one MiB is read, and one byte more is too much."""
    assert post(Inbox(reader()), bytes(inbox.MAX_BODY_BYTES + more)).status_code == status


def test_a_caller_who_has_gone_told_nothing() -> None:
    """A body that was cut off by the caller's going is no callback."""
    messages = [{"type": "http.request", "body": b'{"co', "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    box = Inbox(reader())
    asyncio.run(box({"type": "http", "method": "POST", "headers": []}, receive, send))
    assert (sent[0]["status"], box.jobs) == (400, {})


HEADERS = st.dictionaries(
    st.sampled_from(["X-Webhook-Timestamp", "X-Webhook-Signature"]),
    st.binary().filter(lambda value: not set(value) & set(b"\0\r\n")) | st.just(b"1767225600"),
)


@given(
    st.binary()
    | (JSON | st.fixed_dictionaries({"code": st.just(200), "data": JSON})).map(lambda v: json.dumps(v).encode()),
    HEADERS,
)
def test_whatever_comes_in_is_answered(body: bytes, headers: dict[str, bytes]) -> None:
    """Whatever comes in is answered, never by an error of the server's, and without the secret none of it is kept."""
    box = Inbox(reader(), secret=SECRET)
    reply = post(box, body, list(headers.items()))
    assert (reply.status_code in (400, 401), reply.content, box.jobs) == (True, b"", {})


def test_keys_that_cannot_be_fetched_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the keys of a provider that publishes them cannot be had, a callback is answered 503, to come again."""
    client = reader()

    def no_keys(*args: Any, **options: Any) -> None:
        raise ProviderError("the keys could not be fetched")

    monkeypatch.setattr(client, "read_callback", no_keys)
    assert post(Inbox(client), b"{}").status_code == 503


# Whom it tells


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(State)), max_size=12))
def test_news_is_told_once_and_an_end_is_an_end(box_root: Path, script: list[tuple[str, State]]) -> None:
    """Whatever order words come in, each job goes only where it can, each state is told once, and an end stays."""
    told: list[Job] = []
    box = open_box(box_root, on_job=told.append)
    for job_id, state in script:
        assert post(box, word(state, job_id)).status_code == 200
    for job_id in "ab":
        states = [job.state for job in told if job.id == job_id]
        assert len(states) == len(set(states))
        assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(states))
        assert not set(states[:-1]) & TERMINAL
        assert states[-1:] == [job.state for job in box.jobs.values() if job.id == job_id]
        assert states[:1] == [state for id, state in script if id == job_id][:1]


@pytest.fixture(scope="module")
def box_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the provider of `open_box` is."""
    return tmp_path_factory.mktemp("box")


def test_the_oldest_go_first(box_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inbox that is full forgets the job that it was not told of for longest."""
    monkeypatch.setattr(inbox, "MAX_JOBS", 2)
    box = open_box(box_root)
    for state, job_id in ((State.QUEUED, "a"), (State.QUEUED, "b"), (State.RUNNING, "a"), (State.QUEUED, "c")):
        post(box, word(state, job_id))
    assert [*box.jobs] == ["a", "c"]


def test_news_that_could_not_be_told_is_told_again(box_root: Path) -> None:
    """Where the listener fails the callback fails, and when the provider sends it again it is still news."""
    told: list[Job] = []

    def hear(job: Job) -> None:
        told.append(job)
        if len(told) % 2:
            raise RuntimeError("the listener's own")

    box = open_box(box_root, on_job=hear)
    for state, before in ((State.RUNNING, None), (State.SUCCEEDED, State.RUNNING)):
        with pytest.raises(RuntimeError, match="the listener's own"):
            post(box, word(state))
        assert [job.state for job in box.jobs.values()] == [*filter(None, [before])]
        assert post(box, word(state)).status_code == 200
    assert [job.state for job in told] == [State.RUNNING] * 2 + [State.SUCCEEDED] * 2


def test_a_listener_that_fails_takes_back_no_later_news(box_root: Path) -> None:
    """News that came while a listener was failing stays, though the listener's own is taken back."""

    async def hear(job: Job) -> None:
        if job.state is State.RUNNING:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(box)) as http:
                await http.post("http://inbox/", content=word(State.SUCCEEDED))
            raise RuntimeError("too late")

    box = open_box(box_root, on_job=hear)
    with pytest.raises(RuntimeError):
        post(box, word(State.RUNNING))
    assert box.jobs["j"].state is State.SUCCEEDED


def test_many_threads_tell_once(box_root: Path) -> None:
    """The same callback on many threads at once is told once."""
    told: list[Job] = []
    box, begin = open_box(box_root, on_job=told.append), threading.Barrier(8)

    def send() -> None:
        begin.wait()
        post(box, word(State.SUCCEEDED))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


# Whose mistake


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Inbox(reader(provider="oxen")), "oxen sends no callbacks"),
        (lambda: Inbox(reader(provider="shortapi"), secret="s3cret"), "shortapi does not sign its callbacks"),
        (
            lambda: asyncio.run(Inbox(reader())({"type": "lifespan"}, None, None)),  # type: ignore[arg-type]
            "an inbox takes requests by HTTP, and no lifespan",
        ),
    ],
    ids=["no callbacks", "not signed", "no HTTP"],
)
def test_what_an_inbox_cannot_do_is_told(make: Callable[[], object], text: str) -> None:
    """A provider without callbacks, a secret for unsigned ones, and what is no HTTP are refused; no secret is shown."""
    with pytest.raises(UsageError, match=text) as caught:
        make()
    assert "s3cret" not in str(caught.value)


# Over sockets


@contextmanager
def listening(app: Any) -> Any:
    """Serve an application on loopback, and say where."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def test_a_wait_is_woken_over_sockets(kind: Any, http: httpx.Client) -> None:
    """Over real sockets a callback reaches the inbox, and the wait asks the provider once and is done."""
    heard = threading.Event()
    with serve("kie", clock=VirtualClock()) as server:
        api: dict[str, Any] = {"api_key": "key", "base_url": server.url_of("kie"), "clock": server.clock}
        client = Client("kie", http=http, **api)
        box = Inbox(client, secret=SECRET, on_job=lambda job: heard.set())

        async def wait(job: Job) -> Job:
            async with httpx.AsyncClient(trust_env=False) as own:
                return await AsyncClient("kie", http=own, **api).wait(job, inbox=box)

        with listening(box) as url:
            job = client.submit(**CASES["kie"].job, callback_url=url)
            server.advance(60)
            assert heard.wait(20)
        done = client.wait(job, inbox=box) if kind is Client else asyncio.run(wait(job))
        assert (done.id, done.state) == (job.id, State.SUCCEEDED)
        asked = [exchange.operation for exchange in server.provider("kie").journal.exchanges]
        assert asked == ["createTask", "recordInfo"]
